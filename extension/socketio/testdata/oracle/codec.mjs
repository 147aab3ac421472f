// The reference codec. Each line of standard input is a JSON array of frames: strings (Engine.IO messages without their '4') or
// {"binary":true}. For each line it prints the decoded packets.
import { createInterface } from 'node:readline'
import { Decoder } from 'socket.io-parser'

for await (const line of createInterface({ input: process.stdin })) {
  const packets = []
  const decoder = new Decoder({ maxAttachments: 1000 })
  decoder.on('decoded', (packet) => packets.push(packet))
  let refused = false
  try {
    for (const frame of JSON.parse(line)) decoder.add(typeof frame === 'string' ? frame : Buffer.from([1]))
  } catch {
    refused = true
  }
  process.stdout.write(JSON.stringify({ refused, packets }) + '\n')
}

// Two users on the reference client: node pair.mjs ORACLE_FOLDER URL TOKEN TOKEN. Each joins both namespaces over one connection.
// It prints that they are connected, and then a line for each event, until both sessions have ended.
import { createRequire } from 'node:module'

const [oracle, url, ...tokens] = process.argv.slice(2)
const { io } = createRequire(oracle + '/package.json')('socket.io-client')
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')
const happens = (socket, event) => new Promise((resolve) => socket.once(event, resolve))

const users = tokens.map((token, user) => {
  const auth = { token }
  const queue = io(url + '/queue', { transports: ['websocket'], reconnection: false, forceNew: true, auth })
  const video = queue.io.socket('/video', { auth })
  for (const socket of [queue, video]) {
    socket.on('disconnect', (reason) => say({ user, disconnected: socket.nsp, reason }))
    socket.onAny((event, payload) => say({ user, namespace: socket.nsp, event, payload }))
  }
  return { queue, video, ended: happens(video, 'session:end') }
})
await Promise.all(users.flatMap(({ queue, video }) => [happens(queue, 'connect'), happens(video, 'connect')]))
say({ connected: users.length })
await Promise.all(users.map(({ ended }) => ended))
for (const { queue } of users) queue.io.engine.close()

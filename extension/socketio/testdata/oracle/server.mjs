// The reference server. It behaves as Verity in docs/verity-api.md (Sockets), and has events with which a test controls it.
// node server.mjs '{"pingInterval":25000,…}' prints {"port":…}, then one line for each thing that happens, and ends when its
// standard input ends.
import { createServer } from 'node:http'
import { Server } from 'socket.io'

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')
const http = createServer((request, response) => response.writeHead(404).end())
const io = new Server(http, { transports: ['websocket'], ...JSON.parse(process.argv[2] ?? '{}') })

function user(socket) {
  const header = socket.handshake.headers.authorization
  const token = header === undefined ? socket.handshake.auth.token : header.replace(/^Bearer /, '')
  return /^good:(.*)$/.exec(token)?.[1]
}

for (const name of ['/queue', '/video']) {
  io.of(name).on('connection', (socket) => {
    if (user(socket) === undefined) {
      socket.disconnect(true)
      return
    }
    say({ connected: name, user: user(socket) })
    socket.on('disconnect', (reason) => say({ disconnected: name, reason }))
    socket.onAny((event, ...args) => say({ event, args: args.filter((arg) => typeof arg !== 'function').map(brief) }))
    socket.on('echo', (...args) => args.pop()(...args))
    socket.on('silent', () => {})
    socket.on('ask', async () => socket.emit('answered', await socket.emitWithAck('question', 41)))
    socket.on('photo', () => {
      socket.emit('photo', Buffer.from('2/queue,["x"]'), { thumbnail: Buffer.from([1, 2, 3]) })
      socket.emit('after', 1)
    })
    socket.on('photo:ack', (ack) => ack('here', Buffer.from([0, 255])))
    socket.on('big', (size) => socket.emit('big', 'x'.repeat(size)))
    socket.on('burst', (count) => {
      for (let i = 0; i < count; i++) socket.emit('queue:status', { usersSearching: i })
      socket.emit('burst:end')
    })
    socket.on('broadcast', (count) => {
      for (let i = 0; i < count; i++) io.of(name).emit('queue:status', { usersSearching: i })
    })
    socket.on('odd', () => socket.emit('größe "<&>"\u2028', { '\u0000': '</script>' }, null, [], -0, 1e21))
    socket.on('leave', () => socket.disconnect())
    socket.on('leave:all', () => socket.disconnect(true))
    socket.on('cut', () => socket.conn.transport.socket._socket.destroy())
    socket.on('hang', (milliseconds) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds))
    socket.on('stop', () => io.close())
  })
}
io.of('/refusing').use((socket, next) => next(new Error(`not with ${socket.handshake.auth.token}`)))

const brief = (arg) => (Buffer.isBuffer(arg) ? { bytes: arg.length } : typeof arg === 'string' && arg.length > 100 ? arg.length : arg)

http.listen(0, '127.0.0.1', () => say({ port: http.address().port }))
process.stdin.on('end', () => process.exit(0)).resume()

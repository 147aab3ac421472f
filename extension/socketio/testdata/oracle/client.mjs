// The reference client. node client.mjs URL SCENARIO prints one line for each thing that happens, and ends by itself.
import { io } from 'socket.io-client'

const [url, scenario] = process.argv.slice(2)
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')
const good = { token: 'good:ada' }

// Opens a new connection for both namespaces.
function connect(options = {}, namespaces = ['/queue', '/video']) {
  let first
  return namespaces.map((name) => {
    const socket = first === undefined
      ? io(url + name, { transports: ['websocket'], reconnection: false, auth: good, forceNew: true, ...options })
      : first.io.socket(name, { auth: options.auth ?? good })
    first ??= socket
    return socket
  })
}

function watch(...sockets) {
  for (const socket of sockets) {
    const name = socket.nsp
    socket.on('connect', () => say({ connected: name, id: socket.id.length }))
    socket.on('connect_error', (error) => say({ refused: name, message: error.message, answer: error.context?.responseText }))
    socket.on('disconnect', (reason) => say({ disconnected: name, reason }))
    socket.onAny((event, ...args) => say({ event, args: args.filter((arg) => typeof arg !== 'function') }))
  }
}

const happens = (socket, ...events) => Promise.race(events.map((event) => new Promise((resolve) => socket.once(event, resolve))))

const scenarios = {
  async talk() {
    const [queue, video] = connect()
    watch(queue, video)
    await Promise.all([happens(queue, 'connect'), happens(video, 'connect')])
    say({ answer: await queue.emitWithAck('echo', { a: '<&>\u2028' }, 'größe') })
    say({ answer: (await video.emitWithAck('echo', 'x'.repeat(900_000))).length })
    say({ answer: await queue.emitWithAck('echo', Buffer.from('42/queue,["x"]'), { b: new Uint8Array(3) }) })
    queue.on('question', (n, ack) => ack(n + 1))
    say({ answer: await queue.emitWithAck('echo', 'after the binary one') })
    video.disconnect()
    say({ answer: await queue.emitWithAck('echo', 'after /video left') })
    queue.disconnect()
  },
  async badToken() {
    const [queue, video] = connect({ auth: { token: 'bad' } })
    watch(queue, video)
    await happens(queue.io.engine, 'close')
  },
  async header() {
    const [queue] = connect({ auth: { token: 'bad' }, extraHeaders: { Authorization: 'Bearer good:header' } }, ['/queue'])
    watch(queue)
    await happens(queue, 'user')
    queue.disconnect()
  },
  async unknownNamespace() {
    const [nope] = connect({}, ['/nope'])
    watch(nope)
    await happens(nope, 'connect_error')
    nope.disconnect()
  },
  async polling() {
    const [queue] = connect({ transports: ['polling'] }, ['/queue'])
    watch(queue)
    await happens(queue, 'connect_error')
    queue.disconnect()
  },
  // Answers pings until the server closes.
  async stay() {
    const [queue] = connect({}, ['/queue'])
    watch(queue)
    await happens(queue, 'disconnect')
  },
  async neverPong() {
    const [queue] = connect({}, ['/queue'])
    watch(queue)
    await happens(queue, 'connect')
    queue.io.engine.transport.send = () => {}
    await happens(queue, 'disconnect')
  },
  async tooLarge() {
    const [queue] = connect({}, ['/queue'])
    await happens(queue, 'connect')
    watch(queue)
    queue.emit('big', 'x'.repeat(1_000_001))
    await happens(queue, 'disconnect')
  },
  async thousand() {
    const all = Array.from({ length: 1000 }, () => connect())
    await Promise.all(all.flat().map((socket) => happens(socket, 'connect')))
    say({ connected: all.length })
    const heard = all.map(([queue]) => new Promise((resolve) => {
      let n = 0
      queue.on('queue:status', () => { if (++n === 10) resolve() })
    }))
    all[0][0].emit('broadcast', 10)
    await Promise.all(heard)
    say({ heard: heard.length })
    const answers = await Promise.all(all.map(([, video], i) => video.emitWithAck('echo', i)))
    say({ answered: answers.filter((n, i) => n === i).length })
    for (const [queue, video] of all) {
      queue.disconnect()
      video.disconnect()
    }
  },
}

await scenarios[scenario]()

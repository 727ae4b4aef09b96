import { connect } from 'node:net'
import { performance } from 'node:perf_hooks'
import { serve } from './process.mjs'
import { quantile } from './statistics.mjs'
import { bearer, tokenMaker } from './tokens.mjs'

const SUCCESS = '2'.charCodeAt(0)
const STATUS = 'HTTP/1.1 '.length

let requests = []
let sockets = []

/** The length of the first answer in a text, or -1 when it is not there in full. */
function lengthOfAnswer (text) {
  const head = text.indexOf('\r\n\r\n')
  if (head === -1) return -1
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, head))
  const end = length === null ? text.indexOf('0\r\n\r\n', head) + 5 : head + 4 + Number(length[1])
  return end < head + 4 || end > text.length ? -1 : end
}

function open (port, onAnswer, onFailure) {
  return new Promise((resolve, reject) => {
    let pending = ''
    // Answers of one server have one length: only the first is read, and the others are compared.
    let usual = -1
    function read (length, buffer) {
      if (pending === '' && length === usual) {
        onAnswer(socket, buffer[STATUS] === SUCCESS)
        return true
      }
      pending += buffer.latin1Slice(0, length)
      const end = lengthOfAnswer(pending)
      if (end === -1) return true
      usual = end
      const isSuccess = pending.charCodeAt(STATUS) === SUCCESS
      pending = pending.slice(end)
      onAnswer(socket, isSuccess)
      return true
    }
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer: Buffer.allocUnsafe(65536), callback: read } })
    socket.once('connect', () => resolve(socket)).on('error', reject).on('close', () => onFailure())
  })
}

/**
 * Requests for as long as told, one under way on each connection, until all are answered.
 * @param isAwake never waits for the kernel. A server pays for waking a client that sleeps, and the slower it is, the more often.
 */
function run (seconds, isRepeating, isAwake) {
  return new Promise((resolve) => {
    const sentAt = new Map(sockets.map(({ socket }) => [socket, 0]))
    const latencies = []
    const used = process.cpuUsage()
    const start = performance.now()
    const deadline = start + seconds * 1000
    let [next, failures, open] = [0, 0, sockets.length]

    function send (socket, time) {
      if (time >= deadline || (!isRepeating && next >= requests.length)) return end()
      sentAt.set(socket, time)
      socket.write(requests[next++ % requests.length])
    }
    function stayAwake () {
      if (open > 0) setImmediate(stayAwake)
    }
    function end () {
      if (--open > 0) return
      const elapsed = performance.now() - start
      const { user, system } = process.cpuUsage(used)
      const rate = latencies.length / elapsed * 1000
      resolve({ answers: latencies.length, failures, elapsed, rate, p99: quantile(latencies, 0.99), cpu: user + system })
    }
    for (const entry of sockets) {
      entry.onFailure = () => {
        failures++
        end()
      }
      entry.onAnswer = (socket, isSuccess) => {
        const time = performance.now()
        if (!isSuccess) failures++
        latencies.push(time - sentAt.get(socket))
        send(socket, time)
      }
      send(entry.socket, start)
    }
    if (isAwake) stayAwake()
  })
}

serve({
  /** Makes the requests of a burst: the given lines in turn, or with new tokens made from them. */
  async prepare ({ port, lines, unseen, count, connections }) {
    const text = (line) => Buffer.from(`GET /protected HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n${line}\r\n\r\n`, 'latin1')
    if (unseen === undefined) {
      requests = lines.map(text)
    } else {
      const makers = lines.map((line) => tokenMaker(line.slice(bearer('').length), unseen.algorithm, unseen.key))
      requests = Array.from({ length: count }, (_, index) => text(bearer(makers[index % makers.length]())))
    }
    sockets = await Promise.all(Array.from({ length: connections }, async () => {
      const entry = { onAnswer () {}, onFailure () {} }
      entry.socket = await open(port, (socket, isSuccess) => entry.onAnswer(socket, isSuccess), () => entry.onFailure())
      return entry
    }))
  },

  async run ({ seconds, isRepeating, isAwake }) {
    const result = await run(seconds, isRepeating, isAwake)
    for (const entry of sockets) {
      entry.onFailure = () => {}
      entry.socket.destroy()
    }
    return result
  }
})

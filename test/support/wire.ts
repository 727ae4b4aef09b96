import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'

/** Far beyond what any answer takes: whoever has to wait so long waits for ever. */
const PATIENCE = 20_000

export interface Heard {
  status: number
  headers: http.IncomingHttpHeaders
  body: string
}

/** Names and values, or a flat list of both for names that come twice. */
export type Headers = Readonly<Record<string, string>> | readonly string[]

/** An application over real sockets. */
export interface Wire {
  readonly port: number
  /** Rejects when there is no answer. */
  send (method: string, path: string, headers?: Headers, body?: string | Buffer): Promise<Heard>
  /** Sends bytes as they are, in Latin-1, and reads until the server closes or nothing has come for `patience` milliseconds. Status 0 is no answer at all. */
  raw (bytes: string, patience?: number): Promise<Heard>
}

/** Makes an application listen, for as long as the test takes. */
export async function listen (t: Test, app: FastifyInstance): Promise<Wire> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const agent = new http.Agent({ keepAlive: true, maxSockets: 16 })
  t.teardown(() => agent.destroy())

  const send = async (method: string, path: string, headers: Headers = {}, body?: string | Buffer, connection: http.Agent | false = agent): Promise<Heard> => await new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const given = Array.isArray(headers) ? [...headers, 'Host', `127.0.0.1:${port}`] : { ...headers, ...length }
    const signal = AbortSignal.timeout(PATIENCE)
    const request = http.request({ host: '127.0.0.1', port, agent: connection, method, path, signal, headers: given as http.OutgoingHttpHeaders }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode as number, headers: response.headers, body: Buffer.concat(chunks).toString() }))
    })
    request.on('error', (error) => {
      // What an answer before it has closed says nothing about this request.
      if (request.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET') send(method, path, headers, body, false).then(resolve, reject)
      else reject(error)
    })
    request.end(body)
  })

  return {
    port,
    send,

    raw: async (bytes, patience = 3000) => await new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'))
      let text = ''
      const timer = setTimeout(() => socket.destroy(), patience)
      socket.setEncoding('latin1')
      socket.on('data', (chunk) => { text += String(chunk) })
      socket.on('error', () => {})
      socket.on('close', () => {
        clearTimeout(timer)
        const [head = '', ...rest] = text.split('\r\n\r\n')
        const [line = '', ...lines] = head.split('\r\n')
        const headers = Object.fromEntries(lines.map((one) => [one.slice(0, one.indexOf(':')).toLowerCase(), one.slice(one.indexOf(':') + 1).trim()]))
        resolve({ status: Number(line.split(' ')[1] ?? 0), headers, body: rest.join('\r\n\r\n') })
      })
    })
  }
}

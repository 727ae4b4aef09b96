import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { childEnv } from './child-env'
import type { NodeOptions, Vitals } from './session-node'

/** A node in a process of its own. */
export interface SessionNode {
  open (options: NodeOptions): Promise<void>
  /** Closes the application; answers how long that took, in milliseconds. */
  close (): Promise<number>
  vitals (): Promise<Vitals>
  /** How many requests have come since it opened. */
  begun (): Promise<number>
  /** Closes the connections that are kept alive: Fastify would wait for those that were in use as it was closed. */
  hangUp (): void
  call (method: string, path: string, options?: CallOptions): Promise<Answer>
  /** Lets go of the process, which has to end by itself now; answers its code, or how it did not end in time. */
  leave (limitMs: number): Promise<number | string>
  /** Whatever it wrote to its error output. */
  stderr (): string
  /** Resolves with what ended the process, if it ends before it may. */
  readonly died: Promise<string>
  kill (): void
}

export interface CallOptions {
  readonly body?: unknown
  readonly token?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Hangs up after so many milliseconds. */
  readonly hangUpMs?: number
}

/** What a node answered. `status` is 0 where nothing came. */
export interface Answer {
  readonly status: number
  readonly code: string | undefined
  readonly body: any
  readonly cookies: readonly string[]
  readonly sentAt: number
  readonly ms: number
}

/** Longer than any answer may take. */
const PATIENCE_MS = 20_000

export function startNode (...flags: string[]): SessionNode {
  const child = fork(join(__dirname, 'session-node.ts'), { execArgv: [...flags, '--import', 'tsx'], env: childEnv(), stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  const agent = new Agent({ keepAlive: true, maxSockets: 8, maxFreeSockets: 8 })
  const waiting = new Map<number, { resolve (answer: any): void, reject (error: Error): void }>()
  const exited = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string)
  let [asked, port, mayEnd, errors] = [0, 0, false, '']
  child.stderr?.setEncoding('utf8').on('data', (text: string) => { errors += text })
  child.on('message', ({ id, answer, failed }: { id: number, answer: unknown, failed?: string }) => {
    const { resolve, reject } = waiting.get(id) as { resolve (answer: unknown): void, reject (error: Error): void }
    waiting.delete(id)
    if (failed === undefined) resolve(answer)
    else reject(new Error(failed))
  })
  const died = exited.then((how) => {
    for (const { reject } of waiting.values()) reject(new Error(`The node ended with ${how}: ${errors}`))
    return mayEnd ? new Promise<string>(() => {}) : `a node ended with ${how}: ${errors}`
  })

  function tell<T> (ask: string, options?: NodeOptions): Promise<T> {
    return new Promise((resolve, reject) => {
      waiting.set(++asked, { resolve, reject })
      child.send({ id: asked, ask, options })
    })
  }

  return {
    died,
    async open (options) { port = await tell('open', options) },
    close: () => tell('close'),
    vitals: () => tell('vitals'),
    begun: () => tell('begun'),
    hangUp: () => agent.destroy(),
    call: (method, path, options = {}) => send(agent, port, method, path, options),
    stderr: () => errors,
    async leave (limitMs) {
      mayEnd = true
      child.send({ ask: 'leave' })
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<string>((resolve) => { timer = setTimeout(resolve, limitMs, `it did not end within ${limitMs} ms`) })
      const how = await Promise.race([exited, late])
      clearTimeout(timer)
      agent.destroy()
      return how
    },
    kill () {
      mayEnd = true
      agent.destroy()
      child.kill('SIGKILL')
    }
  }
}

function send (agent: Agent, port: number, method: string, path: string, { body, token, headers, hangUpMs }: CallOptions): Promise<Answer> {
  const sentAt = Date.now()
  const start = performance.now()
  return new Promise((resolve) => {
    const settle = (status: number, text = '', cookies: readonly string[] = [], problem?: string) => {
      const answer = parse(text)
      const code = problem ?? (answer as { code?: string } | undefined)?.code?.replace('FST_JWT_SESSION_', '')
      resolve({ status, code, body: answer, cookies, sentAt, ms: performance.now() - start })
    }
    const outgoing = request({
      agent,
      host: '127.0.0.1',
      port,
      method,
      path,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers
      }
    }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => { text += piece })
      response.on('end', () => settle(response.statusCode as number, text, response.headers['set-cookie']))
      response.on('error', (error) => settle(0, '', [], String(error)))
    })
    outgoing.on('error', (error) => settle(0, '', [], hangUpMs === undefined ? String(error) : 'hung up'))
    outgoing.setTimeout(PATIENCE_MS, () => outgoing.destroy(new Error('No answer')))
    if (hangUpMs !== undefined) setTimeout(() => outgoing.destroy(), hangUpMs)
    outgoing.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body))
  })
}

function parse (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

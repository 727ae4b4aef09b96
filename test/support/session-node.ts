// One node of an application, in a process of its own: opens, tells its vitals and closes as the process that forked it says. It runs
// what was built, as threads do not run TypeScript here.
import { subscribe } from 'node:diagnostics_channel'
import { readdirSync } from 'node:fs'
import type { EventEmitter } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import Redis from 'ioredis'
import { Pool } from 'pg'
import { createClient } from 'redis'
import jwtSession, { bcryptPasswords, type RevocationStore, type SessionUser } from 'fastify-jwt-session'
import { postgresStore } from 'fastify-jwt-session/postgres'
import { redisStore } from 'fastify-jwt-session/redis'

/** What a node is told when it opens. */
export interface NodeOptions {
  readonly client: keyof typeof clients
  readonly url: string
  readonly secret: string
  /** The hash of the one password that all users have. */
  readonly passwordHash: string
  /** How long it takes to find a user, in milliseconds. Default: 1. */
  readonly lookupMs?: number
  readonly storeTimeout?: string
}

/** What a node tells of itself. */
export interface Vitals {
  readonly heap: number
  readonly rss: number
  readonly sockets: number
  readonly timers: number
  readonly listeners: number
  readonly threads: number
  readonly files: number
  /** How many connections it has ever tried to make. */
  readonly dialed: number
  /** What nobody handled, and warnings of the process. */
  readonly troubles: readonly string[]
  /** How often each message was logged, of warnings and errors. */
  readonly logged: Readonly<Record<string, number>>
}

interface Opened {
  readonly store: RevocationStore
  readonly emitter: EventEmitter
  end (): unknown
}

const clients = {
  ioredis (url: string): Opened {
    const client = new Redis(url, { maxRetriesPerRequest: 0, retryStrategy: () => 100 })
    client.on('error', () => {})
    return { store: redisStore(client), emitter: client, end: () => client.disconnect() }
  },
  'node-redis' (url: string): Opened {
    const client = createClient({ url, socket: { reconnectStrategy: 100 } })
    client.on('error', () => {})
    client.connect().catch(() => {})
    function end (): void {
      // It does not stop a connection that is being made, which would keep this process alive.
      client.once('ready', () => client.destroy())
      client.destroy()
    }
    return { store: redisStore(client as never), emitter: client, end }
  },
  pg (url: string): Opened {
    const pool = new Pool({ connectionString: url, max: 4, connectionTimeoutMillis: 1000, idleTimeoutMillis: 0 })
    return { store: postgresStore(pool), emitter: pool, end: () => pool.end() }
  }
}

type User = SessionUser & { roles: string[] }
type Options = jwtSession.JwtSessionOptions<User, Record<string, unknown>>

const troubles: string[] = []
const logged: Record<string, number> = {}
process.on('unhandledRejection', (reason) => troubles.push(`unhandled rejection: ${(reason as Error | undefined)?.stack ?? String(reason)}`))
process.on('uncaughtException', (error) => troubles.push(`uncaught exception: ${error.stack}`))
process.on('warning', (warning) => troubles.push(`warning: ${warning.stack}`))

let app: FastifyInstance | undefined
let opened: Opened | undefined
let emitters: EventEmitter[] = []
let begun = 0
let dialed = 0
subscribe('net.client.socket', () => { dialed++ })

async function open ({ client, url, secret, passwordHash, lookupMs = 1, storeTimeout = '1s' }: NodeOptions): Promise<number> {
  opened = clients[client](url)
  app = Fastify({
    logger: {
      level: 'warn',
      stream: {
        write (line: string) {
          const { msg } = JSON.parse(line) as { msg: string }
          logged[msg] = (logged[msg] ?? 0) + 1
        }
      }
    }
  })
  emitters = [process, opened.emitter, app.server]
  begun = 0
  app.addHook('onRequest', async () => { begun++ })
  // Whoever is not called nobody exists, and has a number behind what they are.
  const find = async (username: string) => {
    await pause(lookupMs)
    return username.startsWith('nobody') ? null : { id: username, passwordHash, roles: username.split('-').slice(0, 1) }
  }
  const common: Options = {
    secret,
    userLookup: { findByUsername: find, findById: find },
    passwords: bcryptPasswords({ cost: 8, threads: 2 }),
    revocationStore: opened.store,
    claims: ({ roles }) => ({ roles }),
    accessToken: { expiresIn: '20s' },
    throttle: { account: { attempts: 5, window: '20s' }, address: { attempts: 100_000, window: '1m' } },
    tokenMemory: 200,
    storeTimeout
  }
  const contexts: Record<string, Partial<Options>> = {
    tolerant: { session: { idleTimeout: '10m', absoluteTimeout: '15m' }, rotation: 'tolerant' },
    strict: { session: { idleTimeout: '5m', absoluteTimeout: '15m', maxPerSubject: 3 }, rotation: 'strict' },
    cookie: { session: { idleTimeout: '5m', absoluteTimeout: '15m' }, locations: ['cookie'] }
  }
  for (const [issuer, options] of Object.entries(contexts)) {
    await app.register(async (child) => {
      await child.register(jwtSession, { ...common, ...options, issuer, routes: { prefix: `/${issuer}`, sessions: true } })
      const who = (request: { auth: jwtSession.Auth }) => ({ id: request.auth.subject })
      child.get(`/${issuer}/me`, { onRequest: [child.authenticate] }, who)
      child.get(`/${issuer}/admin`, { onRequest: [child.requireClaims({ roles: 'admin' })] }, who)
      child.post<{ Params: { id: string } }>(`/${issuer}/ban/:id`, async ({ params: { id } }) => ({ ended: (await child.jwtSession.revokeAll(id)).length }))
      emitters.push(child.jwtSession.events as unknown as EventEmitter)
    })
  }
  await app.listen({ host: '127.0.0.1', port: 0 })
  return (app.server.address() as { port: number }).port
}

/** Closes the application first and the client of its store after it; answers how long the first took, in milliseconds. */
async function close (): Promise<number> {
  const start = performance.now()
  await app?.close()
  const took = performance.now() - start
  // A pool waits for the server to say goodbye, which one that stands still does not.
  Promise.resolve(opened?.end()).catch(() => {})
  app = opened = undefined
  emitters = []
  return took
}

async function vitals (): Promise<Vitals> {
  const { gc } = globalThis as { gc?: () => void }
  for (let round = 0; round < 2; round++) {
    gc?.()
    await pause(20)
  }
  const { heapUsed: heap, rss } = process.memoryUsage()
  const resources = process.getActiveResourcesInfo()
  const count = (names: RegExp) => resources.filter((name) => names.test(name)).length
  return {
    heap,
    rss,
    sockets: count(/^TCP/),
    timers: count(/^(?:Timeout|Immediate)$/),
    listeners: emitters.reduce((sum, emitter) => sum + emitter.eventNames().reduce((all, name) => all + emitter.listenerCount(name), 0), 0),
    threads: entries('/proc/self/task'),
    files: entries('/proc/self/fd'),
    dialed,
    troubles,
    logged
  }
}

/** Where there is no such folder, 0. */
function entries (folder: string): number {
  try {
    return readdirSync(folder).length
  } catch {
    return 0
  }
}

process.on('message', async ({ id, ask, options }: { id: number, ask: 'open' | 'close' | 'vitals' | 'begun' | 'leave', options: NodeOptions }) => {
  // What is left after this keeps the process alive, if anything does.
  if (ask === 'leave') return process.disconnect()
  try {
    process.send?.({ id, answer: await { open: () => open(options), close, vitals, begun: () => begun }[ask]() })
  } catch (error) {
    process.send?.({ id, failed: String((error as Error).stack) })
  }
})

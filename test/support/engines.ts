import { createConnection } from 'node:net'
import Redis from 'ioredis'
import { Pool } from 'pg'
import { createClient } from 'redis'
import { memoryStore } from '../../lib/stores/memory'
import { postgresStore } from '../../lib/stores/postgres'
import { redisStore } from '../../lib/stores/redis'
import { newStorage, sharedStore } from './shared-store'
import type { RevocationStore } from '../../types'

/** A store on a server that is there, with a namespace of its own. */
export interface OpenStore {
  readonly store: RevocationStore
  /** Takes back what was opened; with `drop` also what was written. */
  close (drop: boolean): Promise<void>
}

export interface Engine {
  readonly name: string
  /** Opens the sessions of a namespace: letters, digits and `_`. */
  open (namespace: string): Promise<OpenStore>
  /** Whether its server answers here. */
  isThere (): Promise<boolean>
}

const REDIS_URL = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'
const DATABASE_URL = process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/test'

const memory: Engine = {
  name: 'memory',
  isThere: async () => true,
  open: async () => ({ store: memoryStore(), close: async () => {} })
}

/** What a server would be, in this process: answers later, watches, prunes. */
const shared: Engine = {
  name: 'memory that answers later',
  isThere: async () => true,
  open: async () => ({ store: sharedStore(newStorage()), close: async () => {} })
}

const ioredis: Engine = {
  name: 'redis (ioredis)',
  isThere: () => canConnect(REDIS_URL),
  async open (namespace) {
    const client = new Redis(REDIS_URL, { maxRetriesPerRequest: 0, lazyConnect: true })
    client.on('error', () => {})
    await client.connect()
    return {
      store: redisStore(client, { prefix: `${namespace}:` }),
      async close (drop) {
        const keys = drop ? await client.keys(`${namespace}:*`) : []
        if (keys.length > 0) await client.del(...keys)
        client.disconnect()
      }
    }
  }
}

const nodeRedis: Engine = {
  name: 'redis (node-redis)',
  isThere: () => canConnect(REDIS_URL),
  async open (namespace) {
    const client = createClient({ url: REDIS_URL })
    client.on('error', () => {})
    await client.connect()
    return {
      store: redisStore(client as never, { prefix: `${namespace}:` }),
      async close (drop) {
        const keys = drop ? await client.keys(`${namespace}:*`) : []
        if (keys.length > 0) await client.del(keys)
        client.destroy()
      }
    }
  }
}

const postgres: Engine = {
  name: 'postgresql',
  isThere: () => canConnect(DATABASE_URL),
  async open (namespace) {
    const pool = new Pool({ connectionString: DATABASE_URL, max: 4 })
    pool.on('error', () => {})
    const store = postgresStore(pool, { table: namespace })
    await store.migrate()
    return {
      store,
      async close (drop) {
        if (drop) await pool.query(`drop table if exists "${namespace}"`)
        await pool.end()
      }
    }
  }
}

export const engines: readonly Engine[] = [memory, shared, ioredis, nodeRedis, postgres]

export function engineNamed (name: string): Engine {
  const engine = engines.find((candidate) => candidate.name === name)
  if (engine === undefined) throw new Error(`There is no engine ${name}`)
  return engine
}

let namespaces = 0

/** A namespace that nobody else uses. */
export function newNamespace (): string {
  return `fjs_test_${process.pid}_${Date.now().toString(36)}_${namespaces++}`
}

/** Why tests on an engine are skipped here, or false. In CI they are not: there its server has to be there. */
export async function skipReason (engine: Engine): Promise<string | false> {
  return process.env.CI || await engine.isThere() ? false : `no server for ${engine.name}`
}

async function canConnect (url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  return await new Promise((resolve) => {
    const socket = createConnection({ host: hostname, port: Number(port), timeout: 1000 })
    const end = (answer: boolean) => () => {
      socket.destroy()
      resolve(answer)
    }
    socket.on('connect', end(true)).on('error', end(false)).on('timeout', end(false))
  })
}

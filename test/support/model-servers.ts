import Redis from 'ioredis'
import { Pool } from 'pg'
import { memoryStore } from '../../lib/stores/memory'
import { engineNamed, newNamespace, skipReason } from './engines'
import { newStorage, sharedStore } from './shared-store'
import type { RevocationStore, SessionRef } from '../../types'

/** One set of sessions, with a way to it for each node. */
export interface Server {
  readonly stores: readonly RevocationStore[]
  /** Makes a record disappear as a lost disk does: nobody is told. */
  forget (ref: SessionRef): Promise<void>
  /** Makes room, where many histories would fill it. */
  clear? (): void
  close (): Promise<void>
}

export interface ServerKind {
  readonly name: string
  /** It is in this process, and quick. */
  readonly isHere: boolean
  skipReason (): Promise<string | false>
  open (nodes: number): Promise<Server>
}

/** The store of one process, which nodes in it can share. */
const memory: ServerKind = {
  name: 'memory',
  isHere: true,
  skipReason: async () => false,
  async open (nodes) {
    const store = memoryStore()
    return {
      stores: Array.from({ length: nodes }, () => store),
      async forget (ref) {
        const [record] = await store.read([ref])
        if (record !== undefined) await store.write({ ...record, revision: record.revision + 1, revoked: true }, record.revision)
      },
      async close () {}
    }
  }
}

const shared: ServerKind = {
  name: 'memory that answers later',
  isHere: true,
  skipReason: async () => false,
  async open (nodes) {
    const storage = newStorage()
    return {
      stores: Array.from({ length: nodes }, () => sharedStore(storage)),
      async forget ({ id }) { storage.records.delete(id) },
      clear () { storage.records.clear() },
      async close () {}
    }
  }
}

type Forget = Pick<Server, 'forget' | 'close'>

function engine (name: string, forgetter: (namespace: string) => Forget): ServerKind {
  return {
    name,
    isHere: false,
    skipReason: () => skipReason(engineNamed(name)),
    async open (nodes) {
      const namespace = newNamespace()
      const opened = await Promise.all(Array.from({ length: nodes }, () => engineNamed(name).open(namespace)))
      const { forget, close } = forgetter(namespace)
      return {
        stores: opened.map(({ store }) => store),
        forget,
        async close () {
          await close()
          for (const [index, one] of opened.entries()) await one.close(index === opened.length - 1)
        }
      }
    }
  }
}

function fromRedis (namespace: string): Forget {
  const client = new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379')
  return {
    async forget ({ id, subject }) { await client.hdel(`${namespace}:u:${subject}`, id) },
    async close () { client.disconnect() }
  }
}

function fromPostgres (namespace: string): Forget {
  const pool = new Pool({ connectionString: process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/test', max: 1 })
  return {
    async forget ({ id }) { await pool.query(`delete from "${namespace}" where id = $1`, [id]) },
    close: () => pool.end()
  }
}

export const serverKinds: readonly ServerKind[] = [
  memory, shared, engine('redis (ioredis)', fromRedis), engine('redis (node-redis)', fromRedis), engine('postgresql', fromPostgres)
]

import { createRequire } from 'node:module'
import { DATABASE_URL, REDIS_URL } from '../settings.mjs'

const require = createRequire(import.meta.url)
const dist = '../../../../dist/lib'

/** How often a client that nobody needs has been used before the clock runs: as often as that of a store. */
const USES = 200

const memoryStore = () => require(`${dist}/index.js`).memoryStore()

async function openRedis () {
  const { Redis } = await import('ioredis')
  const client = new Redis(REDIS_URL, { lazyConnect: true, maxRetriesPerRequest: 1 })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function openPool () {
  const { default: { Pool } } = await import('pg')
  const pool = new Pool({ connectionString: DATABASE_URL, max: 4 })
  pool.on('error', () => {})
  return pool
}

const engines = {
  async memory () {
    return { revocationStore: memoryStore(), drop: async () => {} }
  },

  async 'memory beside redis' (namespace) {
    const client = await openRedis()
    const listener = client.duplicate()
    await listener.subscribe(namespace)
    for (let use = 0; use < USES; use++) await client.get(namespace)
    return {
      revocationStore: memoryStore(),
      async drop () {
        listener.disconnect()
        client.disconnect()
      }
    }
  },

  async 'memory beside postgresql' (namespace) {
    const pool = await openPool()
    const listener = await pool.connect()
    await listener.query(`listen "${namespace}"`)
    for (let use = 0; use < USES; use++) await pool.query('select $1::text', [namespace])
    return {
      revocationStore: memoryStore(),
      async drop () {
        listener.release(true)
        await pool.end()
      }
    }
  },

  async redis (namespace) {
    const client = await openRedis()
    return {
      revocationStore: require(`${dist}/stores/redis.js`).redisStore(client, { prefix: `${namespace}:` }),
      async drop () {
        const keys = await client.keys(`${namespace}:*`)
        if (keys.length > 0) await client.del(...keys)
        client.disconnect()
      }
    }
  },

  async postgresql (namespace) {
    const pool = await openPool()
    const revocationStore = require(`${dist}/stores/postgres.js`).postgresStore(pool, { table: namespace })
    await revocationStore.migrate()
    return {
      revocationStore,
      async drop () {
        await pool.query(`drop table if exists "${namespace}"`)
        await pool.end()
      }
    }
  }
}

/** A store of this package on a server that is there, and a way to leave nothing behind in it. */
export function openStore (name, namespace) {
  return engines[name](namespace)
}

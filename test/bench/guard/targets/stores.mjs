import { createRequire } from 'node:module'
import { DATABASE_URL, REDIS_URL } from '../settings.mjs'

const require = createRequire(import.meta.url)
const dist = '../../../../dist/lib'

const engines = {
  async memory () {
    return { revocationStore: require(`${dist}/index.js`).memoryStore(), drop: async () => {} }
  },

  async redis (namespace) {
    const { Redis } = await import('ioredis')
    const client = new Redis(REDIS_URL, { lazyConnect: true, maxRetriesPerRequest: 1 })
    client.on('error', () => {})
    await client.connect()
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
    const { default: { Pool } } = await import('pg')
    const pool = new Pool({ connectionString: DATABASE_URL, max: 4 })
    pool.on('error', () => {})
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

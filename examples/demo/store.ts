import { Redis } from 'ioredis'
import { Pool } from 'pg'
import { memoryStore, type RevocationStore } from 'fastify-jwt-session'
import { postgresStore } from 'fastify-jwt-session/postgres'
import { redisStore } from 'fastify-jwt-session/redis'

export interface DemoStore {
  readonly name: string
  readonly store: RevocationStore
  close (): Promise<void>
}

/** Where sessions live: in Redis or PostgreSQL when the environment names one, else in this process. */
export async function openStore ({ REDIS_URL, DATABASE_URL }: NodeJS.ProcessEnv): Promise<DemoStore> {
  if (REDIS_URL) {
    const redis = new Redis(REDIS_URL)
    // The client connects again by itself; the page tells what happens meanwhile.
    redis.on('error', () => {})
    return { name: 'Redis', store: redisStore(redis, { prefix: 'fjs-demo:' }), close: async () => redis.disconnect() }
  }
  if (DATABASE_URL) {
    const pool = new Pool({ connectionString: DATABASE_URL, connectionTimeoutMillis: 1000 })
    pool.on('error', () => {})
    const store = postgresStore(pool, { table: 'fjs_demo' })
    await store.migrate()
    return { name: 'PostgreSQL', store, close: async () => await pool.end() }
  }
  return { name: 'memory', store: memoryStore(), close: async () => {} }
}

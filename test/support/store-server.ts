import type { Test } from 'tap'
import Redis from 'ioredis'
import { Client, Pool } from 'pg'
import { postgresStore } from '../../lib/stores/postgres'
import { postgresServer } from './postgres-server'
import { startRedis } from './redis-server'

/** A server of sessions to which anything may happen. It forgets nothing by itself. */
export interface StoreServer {
  readonly url: string
  kill9 (): Promise<void>
  start (): Promise<void>
  /** Stops it where it stands; sockets stay open. */
  pause (): void
  resume (): void
  /** Cuts every connection. */
  cut (): Promise<void>
  /** Loses all sessions. */
  lose (): Promise<void>
  /** Asks it for anything. */
  ping (): Promise<unknown>
}

type Owner = Pick<Test, 'teardown'>

/**
 * A Redis that keeps every write that it acknowledged, killed or not. With `everysec` it does not: while the disk is busy, it answers
 * before it has written.
 */
export async function redisOf (owner: Owner): Promise<StoreServer> {
  const server = await startRedis(owner, { args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  const url = `redis://127.0.0.1:${server.port}`
  const client = new Redis(url, { maxRetriesPerRequest: 0, retryStrategy: () => 100 })
  client.on('error', () => {})
  owner.teardown(() => client.disconnect())
  return {
    url,
    kill9: () => server.kill9(),
    start: () => server.restart(),
    pause: () => server.pause(),
    resume: () => server.resume(),
    async cut () {
      for (const type of ['normal', 'pubsub']) await client.call('CLIENT', 'KILL', 'TYPE', type)
    },
    async lose () { await client.flushall() },
    ping: () => client.ping()
  }
}

/** A PostgreSQL with the tables of the store; `undefined` where none can be had. */
export async function postgresOf (owner: Owner): Promise<StoreServer | undefined> {
  const server = await postgresServer()
  if (server === undefined) return undefined
  owner.teardown(() => server.remove())
  const pool = new Pool({ connectionString: server.url, max: 1, connectionTimeoutMillis: 1000 })
  pool.on('error', () => {})
  await postgresStore(pool).migrate()
  await pool.end()

  async function run (text: string): Promise<void> {
    const client = new Client({ connectionString: server?.url as string, connectionTimeoutMillis: 1000 })
    client.on('error', () => {})
    await client.connect()
    await client.query(text)
    await client.end()
  }

  return {
    url: server.url,
    kill9: () => server.stop('kill -9'),
    start: () => server.start(),
    pause: () => server.pause(),
    resume: () => server.resume(),
    cut: () => run('select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname is not null'),
    lose: () => run('truncate fastify_jwt_session'),
    ping: () => run('select 1')
  }
}

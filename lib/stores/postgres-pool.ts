import { optionInvalid } from '../errors'
import type { Awaitable } from '../../types'

/**
 * A `Pool` of `pg` 8, as far as the store needs one. It MUST lead to the primary, never to a replica, and should have a
 * `connectionTimeoutMillis` (1000, say): without one, `pg` waits for a minute or more for a server that falls silent while a connection is made.
 */
export interface PostgresPool {
  query (query: PostgresQuery): Promise<PostgresResult>
  connect (): Promise<PostgresClient & { release (destroy: boolean): void }>
  on (event: 'error', listener: (error: Error) => void): unknown
  readonly options?: object
}

/** What the store asks of a pool. Statements have no name, so that any pooler may stand in between. */
export interface PostgresQuery {
  readonly text: string
  readonly values?: unknown[]
  /** Milliseconds after which `pg` gives the connection up. */
  readonly query_timeout?: number
}

/** What a statement answers. */
export interface PostgresResult {
  readonly rows: any[]
  readonly rowCount: number | null
}

/** The settings of a `pg` client that are most often given; all others are handed on too. */
export interface PostgresClientConfig {
  readonly connectionString?: string | undefined
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly user?: string | undefined
  readonly password?: unknown
  readonly database?: string | undefined
  readonly ssl?: unknown
  readonly keepAlive?: boolean | undefined
  readonly application_name?: string | undefined
  readonly options?: string | undefined
}

/** A client of `pg`, as far as listening needs one. */
export interface PostgresClient {
  connect (): Promise<unknown>
  query (text: string): Promise<unknown>
  on (event: 'notification', listener: (message: { channel: string, payload?: string | undefined }) => void): unknown
  on (event: 'error', listener: (error: Error) => void): unknown
  on (event: 'end', listener: () => void): unknown
  end (): Promise<unknown>
}

/** The pools whose `error` is listened to. */
const heard = new WeakSet<object>()

/** Refuses what is not a pool. */
export function acceptPool (pool: PostgresPool): void {
  const option = 'postgresStore(pool)'
  const remedy = "Give it a pool of pg: new Pool({ connectionString: 'postgres://…' })"
  const { query, connect, on } = (pool ?? {}) as Partial<PostgresPool>
  if ([query, connect, on].some((method) => typeof method !== 'function')) throw optionInvalid(option, 'is not a pool', remedy)
  if ('processID' in pool) throw optionInvalid(option, 'is a single client', remedy)
  // The pool replaces a connection that is lost while idle, but the event would end a process that does not listen to it.
  if (!heard.has(pool)) pool.on('error', () => {})
  heard.add(pool)
}

/** How a connection for LISTEN is made: one beside the pool where possible, so that it takes none away from the application. */
export function opener (pool: PostgresPool, listen: PostgresClientConfig | (() => Awaitable<PostgresClient>) | undefined): () => Awaitable<PostgresClient> {
  if (typeof listen === 'function') return listen
  const { Client } = pool as { Client?: new (config: object) => PostgresClient }
  const config = listen ?? pool.options
  if (Client !== undefined && config !== undefined) return () => new Client(config)
  if (listen !== undefined) {
    throw optionInvalid('postgresStore.listen', 'cannot be used, because the pool does not tell its Client', 'Give a function that makes a client')
  }
  return async () => {
    const client = await pool.connect()
    const { connection } = client as { connection?: unknown }
    return {
      connection,
      connect: async () => {},
      query: (text) => client.query(text),
      on: (event: any, listener: any) => client.on(event, listener),
      end: async () => client.release(true)
    } as PostgresClient
  }
}

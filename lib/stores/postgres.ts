import { createHash, randomUUID } from 'node:crypto'
import { now } from '../clock'
import { optionInvalid } from '../errors'
import { LIMITER, type CountingStore } from '../limiter'
import { isRecord } from '../record'
import { countersTable, postgresLimiter } from './postgres-limiter'
import { encodeRevoked, subscriberOf } from './postgres-link'
import { acceptPool, opener, type PostgresClient, type PostgresClientConfig, type PostgresPool, type PostgresResult } from './postgres-pool'
import { keepSubscribed } from './subscription'
import type { Awaitable, RevocationStore, SessionRecord } from '../../types'

export type { PostgresClient, PostgresClientConfig, PostgresPool, PostgresQuery, PostgresResult } from './postgres-pool'

/** How a {@link postgresStore} is set up. Names are lower case letters, digits and `_`, and do not begin with a digit. */
export interface PostgresStoreOptions {
  /** The schema of the table, which must exist. Default: none, so that `search_path` decides. */
  readonly schema?: string
  /** The table, at most 50 characters. Default: `'fastify_jwt_session'`. */
  readonly table?: string
  /** The channel of the announcements, at most 63 characters. Default: made of schema and table. All nodes need the same. */
  readonly channel?: string
  /**
   * Where the connection comes from that listens for revocations: the settings of a client, or a function that makes one
   * which is not connected yet. Give it when the pool goes through a transaction pooler, which never delivers an announcement.
   * Default: one more connection with the settings of the pool.
   */
  readonly listen?: PostgresClientConfig | (() => Awaitable<PostgresClient>)
}

/** Sessions in PostgreSQL. */
export interface PostgresStore extends Required<Omit<RevocationStore, 'close'>> {
  /**
   * Makes the table and its indexes where they are missing. Safe to call again, and by several nodes at once.
   * @throws what the server says, when the role may not create tables.
   */
  migrate (): Promise<void>
  /** The SQL of `migrate`, for those who keep migrations of their own. */
  readonly migration: string
}

const NAME = /^[a-z_][a-z0-9_]{0,62}$/
/** Short enough for the names of its indexes. */
const TABLE = /^[a-z_][a-z0-9_]{0,49}$/
const OPTIONS = ['schema', 'table', 'channel', 'listen']

/** Frees connections to a server that went silent; longer than anybody waits for an answer. */
const QUERY_TIMEOUT_MS = 5000
const PRUNE_TIMEOUT_MS = 60_000

/** Serialization failures and deadlocks: the statement did nothing, and may be tried again. */
const TRANSIENT = new Set(['40001', '40P01'])
const ATTEMPTS = 10

/** As text, so that no type parser of the application and no binary mode comes in between. */
const COLUMNS = 'id, subject, revision::text, expires_at::text, revoked::text, state::text'

/**
 * Keeps sessions in a table of PostgreSQL, and tells every node of a revocation with `NOTIFY`. Revoked sessions stay in the table
 * until they are pruned after their end. The pool remains yours: the store never ends it.
 * @throws `OPTION_INVALID`.
 * @example
 * ```ts
 * import { Pool } from 'pg'
 * import jwtSession from 'fastify-jwt-session'
 * import { postgresStore } from 'fastify-jwt-session/postgres'
 *
 * const pool = new Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 1000 })
 * app.addHook('onClose', () => pool.end())
 * const store = postgresStore(pool)
 * await store.migrate()
 * await app.register(jwtSession, { ...options, revocationStore: store })
 * ```
 */
export function postgresStore (pool: PostgresPool, options: PostgresStoreOptions = {}): PostgresStore {
  acceptPool(pool)
  const { schema, table, channel, listen } = readOptions(options)
  const qualified = (name: string) => schema === undefined ? `"${name}"` : `"${schema}"."${name}"`
  const place = qualified(table)
  const counters = `${table}_attempts`
  const subscriber = subscriberOf(opener(pool, listen))
  let isTold = false

  async function ask (text: string, values: unknown[], timeout = QUERY_TIMEOUT_MS): Promise<PostgresResult> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await pool.query({ text, values, query_timeout: timeout })
      } catch (error) {
        const { code, message } = error as { code?: string, message: string }
        if (code === '42P01') {
          throw new Error(`${message}: call migrate() of the store before the application starts, or run its SQL`, { cause: error })
        }
        if (attempt === ATTEMPTS || !TRANSIENT.has(code as string)) throw error
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 5 * attempt))
      }
    }
  }

  /** What cannot be read counts as absent, which ends that session and no other. */
  function recordsIn (rows: any[]): SessionRecord[] {
    const records = rows.map(recordOf).filter(isRecord)
    if (records.length < rows.length && !isTold) {
      isTold = true
      process.emitWarning(`fastify-jwt-session: postgresStore: ${place} holds something that is no record of a session. What is no record counts as revoked; this is said once`)
    }
    return records
  }

  const insert = `insert into ${place} (id, subject, revision, expires_at, revoked, state)
    values ($1, $2, $3, $4, $5, $6) on conflict (id) do nothing`
  const update = `update ${place} set subject = $2, revision = $3, expires_at = $4, revoked = $5, state = $6
    where id = $1 and revision = $7 and not revoked`
  const announced = (statement: string, next: number) =>
    `with written as (${statement} returning id) select pg_notify($${next}, $${next + 1}) from written`
  const indexes = [`${table}_subject`, `${table}_expires_at`] as const
  const migration = `create table if not exists ${place} (
  id text collate "C" primary key,
  subject text collate "C" not null,
  revision bigint not null,
  expires_at double precision not null,
  revoked boolean not null,
  state json not null
) with (fillfactor = 80);
create index if not exists "${indexes[0]}" on ${place} (subject);
create index if not exists "${indexes[1]}" on ${place} (expires_at);
${countersTable(qualified(counters))}`

  const store: PostgresStore & CountingStore = {
    [LIMITER]: postgresLimiter(ask, counters, schema),
    migration,

    async migrate () {
      const names = [table, ...indexes, counters].map(qualified)
      const { rowCount } = await pool.query({
        text: 'select from unnest($1::text[]) as name where to_regclass(name) is null', values: [names]
      })
      // A role that may not create anything can still call this.
      if (rowCount === 0) return
      // One message is one transaction, so the lock lasts until the end of it.
      await pool.query({ text: `select pg_advisory_xact_lock(hashtextextended('${channel}:migrate', 0));\n${migration}` })
    },

    async read (refs) {
      const ids = refs.filter(({ id, subject }) => canKeep(id) && canKeep(subject)).map(({ id }) => id)
      if (ids.length === 0) return []
      const { rows } = await ask(`select ${COLUMNS} from ${place} where id = any($1::text[])`, [ids])
      return recordsIn(rows)
    },

    async write ({ id, subject, revision, expiresAt, revoked, state }, expected) {
      if (!canKeep(id) || !canKeep(subject)) {
        throw new Error('PostgreSQL cannot keep an id or a subject that holds a NUL or half a surrogate pair')
      }
      const values: unknown[] = [id, subject, revision, expiresAt, revoked, JSON.stringify(state)]
      if (expected !== 0) values.push(expected)
      const statement = expected === 0 ? insert : update
      const { rowCount } = revoked
        ? await ask(announced(statement, values.length + 1), [...values, channel, encodeRevoked([id])])
        : await ask(statement, values)
      return rowCount === 1
    },

    async list (subject) {
      if (!canKeep(subject)) return []
      const text = `select ${COLUMNS} from ${place} where subject = $1 and not revoked and expires_at > $2`
      const { rows } = await ask(text, [subject, now()])
      return recordsIn(rows)
    },

    watch (on) {
      // PostgreSQL delivers notifications in the order of their commits, whatever their channels are, so an echo overtakes nothing.
      const publish = (to: string, message: string) => ask('select pg_notify($1, $2)', [to, message])
      return keepSubscribed({ channel, echoChannel: randomUUID(), subscriber, publish }, on)
    },

    async prune (before, limit) {
      const { rowCount } = await ask(`with turn as materialized (select pg_try_advisory_xact_lock(hashtextextended($3, 0)) as mine),
        doomed as materialized (
          select id from ${place} where (select mine from turn) and expires_at < $1 order by expires_at limit $2 for update skip locked
        )
        delete from ${place} where id in (select id from doomed)`, [before, limit, `${channel}:prune`], PRUNE_TIMEOUT_MS)
      const { rowCount: forgotten } = await ask(`delete from ${qualified(counters)} where key in (
          select key from ${qualified(counters)} where expire < $1 limit $2 for update skip locked
        )`, [Math.floor(before * 1000), limit], PRUNE_TIMEOUT_MS)
      return Math.max(Number(rowCount), Number(forgotten))
    }
  }
  return store
}

function readOptions (options: PostgresStoreOptions) {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name))
  if (unknown !== undefined) throw optionInvalid(`postgresStore.${unknown}`, 'does not exist', `There are ${OPTIONS.join(', ')}`)
  const { schema, table = 'fastify_jwt_session', listen } = options
  for (const [name, value, form] of [['schema', schema, NAME], ['table', table, TABLE], ['channel', options.channel, NAME]] as const) {
    if (value !== undefined && !(typeof value === 'string' && form.test(value))) {
      throw optionInvalid(`postgresStore.${name}`, 'is not a name', `Give a name that matches ${form.source}`)
    }
  }
  if (listen !== undefined && typeof listen !== 'function' && (typeof listen !== 'object' || listen === null)) {
    throw optionInvalid('postgresStore.listen', 'makes no client', 'Give the settings of a pg client, or a function that makes one')
  }
  const path = schema === undefined ? table : `${schema}.${table}`
  const { channel = path.length <= 63 ? path : createHash('sha256').update(path).digest('hex').slice(0, 63) } = options
  return { schema, table, channel, listen }
}

function recordOf ({ id, subject, revision, expires_at: expiresAt, revoked, state }: Record<string, string>): SessionRecord {
  return {
    id: id as string,
    subject: subject as string,
    revision: Number(revision),
    expiresAt: Number(expiresAt),
    revoked: revoked !== 'false',
    state: JSON.parse(state as string)
  }
}

function canKeep (text: string): boolean {
  return !text.includes('\0') && !/\p{Cs}/u.test(text)
}

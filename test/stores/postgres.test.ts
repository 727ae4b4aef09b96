import { randomBytes } from 'node:crypto'
import { Client, Pool, type PoolConfig } from 'pg'
import t, { type Test } from 'tap'
import { conformanceTests } from '../../lib/conformance'
import { postgresStore, type PostgresClient, type PostgresStore, type PostgresStoreOptions } from '../../lib/stores/postgres'
import { postgresServer } from '../support/postgres-server'
import { sampleRecord as session } from '../support/record'
import type { RevocationStore, SessionRecord } from '../../types'

const connectionString = process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/test'

/** Why the server cannot be used, asked once. */
const obstacle = (async () => {
  const client = new Client({ connectionString, connectionTimeoutMillis: 2000 })
  try {
    await client.connect()
    await client.end()
    return undefined
  } catch (error) {
    return `PostgreSQL cannot be reached: ${(error as Error).message || (error as { code: string }).code}`
  }
})()

interface Database {
  readonly pool: Pool
  readonly schema: string
  readonly store: PostgresStore
  /** Another node: a pool of its own. */
  another (config?: PoolConfig, options?: PostgresStoreOptions): { pool: Pool, store: PostgresStore }
}

/** A test with a schema of its own. */
function databaseTest (name: string, run: (t: Test, database: Database) => Promise<void>, isMigrated = true): void {
  t.test(name, async (t) => {
    const reason = await obstacle
    if (reason !== undefined && process.env.CI !== 'true') return t.plan(0, reason)
    const schema = `t_${randomBytes(6).toString('hex')}`
    const another = (config: PoolConfig = {}, options: PostgresStoreOptions = {}) => {
      const pool = new Pool({ connectionString, ...config })
      const store = postgresStore(pool, { schema, ...options })
      const watches: ReturnType<PostgresStore['watch']>[] = []
      t.teardown(async () => {
        for (const watch of watches) await watch.close()
        await pool.end()
      })
      const watch: PostgresStore['watch'] = (on) => watches[watches.push(store.watch(on)) - 1] as typeof watches[number]
      return { pool, store: { ...store, watch } }
    }
    t.teardown(async () => {
      const client = new Client({ connectionString })
      await client.connect()
      await client.query(`drop schema "${schema}" cascade`)
      await client.end()
    })
    const { pool, store } = another()
    await pool.query(`create schema "${schema}"`)
    if (isMigrated) await store.migrate()
    await run(t, { pool, store, schema, another })
  })
}

/** Collects what a watch tells, and waits for it. */
function follow (store: RevocationStore) {
  type Link = { ping (): Promise<void>, reset (): void }
  const seen: { name: 'ready' | 'lost' | 'revoked' | 'changed', at: number, link?: Link, reason?: Error, ids?: readonly string[] }[] = []
  const waiting = new Set<() => void>()
  const tell = (event: Omit<typeof seen[number], 'at'>) => {
    seen.push({ ...event, at: performance.now() })
    for (const check of waiting) check()
  }
  const watch = store.watch?.({
    ready: (link) => tell({ name: 'ready', link }),
    lost: (reason) => tell({ name: 'lost', reason: reason as Error }),
    revoked: (ids) => tell({ name: 'revoked', ids }),
    changed: () => tell({ name: 'changed' })
  })
  const all = (name: string) => seen.filter((event) => event.name === name)
  return {
    all,
    close: async () => { await watch?.close() },
    /** The event of this name that comes as number `count`. */
    until: (name: typeof seen[number]['name'], count = 1) => new Promise<typeof seen[number]>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${name} (${count}): ${seen.map((event) => event.name)}`)), 8000)
      const check = () => {
        const found = all(name)[count - 1]
        if (found === undefined) return
        clearTimeout(timer)
        waiting.delete(check)
        resolve(found)
      }
      waiting.add(check)
      check()
    }),
    linkOf: (event: typeof seen[number]) => event.link as Link
  }
}

const revoked = (record: SessionRecord): SessionRecord => ({ ...record, revision: record.revision + 1, revoked: true })
const read = async (store: RevocationStore, id: string) => (await store.read([{ id, subject: 'alice' }]))[0]
const pause = (delayMs: number) => new Promise((resolve) => setTimeout(resolve, delayMs))

databaseTest('the store keeps every promise', async (t, { schema }) => {
  const pools = new Map<RevocationStore, Pool>()
  const open = () => {
    const pool = new Pool({ connectionString, max: 5 })
    const store = postgresStore(pool, { schema })
    pools.set(store, pool)
    return store
  }
  const close = async (store: RevocationStore) => await pools.get(store)?.end()
  for (const { name, run } of conformanceTests({ open, close, watch: true, prune: true, rounds: 10 })) await t.resolves(run(), name)
})

databaseTest('writes only over the expected revision, and gives back exactly what was written', async (t, { store }) => {
  const first = session('a', { expiresAt: 1893456000.1234567 })
  t.equal(await store.write(first, 1), false)
  t.equal(await store.write(first, 0), true)
  t.equal(await store.write(first, 0), false)
  t.strictSame(await read(store, 'a'), first)
  const second = { ...first, revision: 2 }
  t.equal(await store.write(second, 2), false)
  t.equal(await store.write(second, 1), true)
  t.equal(await store.write(second, 1), false)
  t.strictSame(await store.read([second, { id: 'b', subject: 'alice' }]), [second])
  t.strictSame(await store.read([]), [])
})

databaseTest('JSON comes back as it was, whatever the type parsers of the application are', async (t, { store, another }) => {
  const getTypeParser = (type: number) => type === 25 ? String : () => 'parsed'
  const { store: odd } = another({ types: { getTypeParser } as never })
  const state = {
    ...session('a').state,
    generation: Number.MAX_SAFE_INTEGER,
    rotatedAt: 0.1 + 0.2,
    device: { userAgent: '\0"\\ \ud800 \u{1f600} \u2028', ip: 'é'.repeat(256) },
    more: { list: [1, null, { deep: [true, 1e-300, -5e300] }], '': 0 }
  }
  const record = session('a', { state, revision: 2 ** 40 })
  t.equal(await odd.write(record, 0), true)
  t.strictSame(await read(store, 'a'), record)
  t.strictSame(await read(odd, 'a'), record)
  t.strictSame(await odd.list('alice'), [record])
})

databaseTest('ids and subjects may be long and in any script, but hold neither a NUL nor half a character', async (t, { store }) => {
  const ids = ['ключ-鍵-🔑', 'é', 'e\u0301', "'; drop table x; --", '{"a","b"}', '\\', 'NULL', '', ' ', 'a'.repeat(2000), randomBytes(1000).toString('hex')]
  for (const id of ids) t.equal(await store.write(session(id, { subject: id }), 0), true)
  const found = await store.read(ids.map((id) => ({ id, subject: id })))
  t.same(found.map(({ id }) => id).sort(), [...ids].sort())
  for (const id of ids) t.same((await store.list(id)).map((record) => record.id), [id])
  for (const bad of ['a\0b', '\ud800']) {
    await t.rejects(Promise.resolve(store.write(session(bad), 0)), { message: /cannot keep an id or a subject that holds a NUL/ })
    await t.rejects(Promise.resolve(store.write(session('ok', { subject: bad }), 0)), { message: /cannot keep/ })
    t.same(await store.read([{ id: bad, subject: 'alice' }, { id: 'é', subject: bad }]), [])
    t.same(await store.list(bad), [])
  }
  t.equal((await store.read([{ id: 'a\0b', subject: 'alice' }, { id: 'é', subject: 'é' }])).length, 1)
})

for (const isolation of ['read committed', 'repeatable read', 'serializable']) {
  databaseTest(`of 50 writers at once exactly one writes, at ${isolation}`, async (t, { another }) => {
    const options = `-c default_transaction_isolation=${isolation.replace(' ', '\\ ')}`
    const stores = Array.from({ length: 4 }, () => another({ options, max: 8 }).store)
    const race = async (record: SessionRecord, expected: number) => {
      const answers = await Promise.all(Array.from({ length: 50 }, (_, index) =>
        stores[index % 4]?.write({ ...record, state: { ...record.state, rotatedAt: index } }, expected)))
      t.equal(answers.filter((answer) => answer === true).length, 1)
      t.equal((await read(stores[0] as PostgresStore, record.id))?.state.rotatedAt, answers.indexOf(true))
    }
    for (const id of ['a', 'b']) {
      for (let expected = 0; expected < 4; expected++) await race(session(id, { revision: expected + 1 }), expected)
    }
    await race(session('a', { revision: 5, revoked: true }), 4)
    t.equal((await read(stores[1] as PostgresStore, 'a'))?.revoked, true)
  })
}

databaseTest('revoked is final and stays in the table', async (t, { store, pool, schema }) => {
  const record = session('a')
  await store.write(record, 0)
  t.equal(await store.write(revoked(record), 1), true)
  t.equal(await store.write(revoked(record), 1), false)
  t.equal(await store.write({ ...record, revision: 3 }, 2), false)
  t.equal(await store.write(record, 0), false)
  t.strictSame(await read(store, 'a'), revoked(record))
  t.same(await store.list('alice'), [])
  t.equal((await pool.query(`select from "${schema}".fastify_jwt_session where revoked`)).rowCount, 1)
  t.equal(await store.write(session('b', { revoked: true }), 0), true)
  t.equal(await store.write(session('b'), 0), false)
})

databaseTest('what is no record ends that session alone, is told once, and is not written over', async (t, { store, pool, schema }) => {
  const warned: string[] = []
  const { emitWarning } = process
  process.emitWarning = (warning) => { warned.push(String(warning)) }
  t.teardown(() => { process.emitWarning = emitWarning })
  const good = session('good')
  for (const one of [good, session('a')]) await store.write(one, 0)
  for (const change of ["state = '5'", "state = 'null'", "state = '{}'", "expires_at = 'NaN'", "expires_at = 'Infinity'", 'revision = 0']) {
    await pool.query(`update "${schema}".fastify_jwt_session set ${change} where id = 'a'`)
    t.strictSame(await store.read([session('a'), good]), [good], change)
    t.strictSame(await store.list('alice'), [good], change)
    t.equal(await store.write(session('a'), 0), false)
    await pool.query(`update "${schema}".fastify_jwt_session set revision = 1, expires_at = $1, state = $2 where id = 'a'`, [good.expiresAt, good.state])
    t.equal((await store.list('alice')).length, 2)
  }
  t.equal(warned.length, 1)
  t.match(warned[0], `"${schema}"."fastify_jwt_session" holds something that is no record`)
})

databaseTest('list has everything that was acknowledged before, and only what is live', async (t, { store, another }) => {
  const other = another().store
  await store.write(session('x', { subject: 'bob' }), 0)
  await store.write(session('old', { expiresAt: Date.now() / 1000 - 1 }), 0)
  for (let count = 1; count <= 20; count++) {
    await store.write(session(`s${count}`), 0)
    t.equal((await other.list('alice')).length, count)
  }
  await Promise.all((await other.list('alice')).slice(5).map((record) => other.write(revoked(record), 1)))
  t.equal((await store.list('alice')).length, 5)
})

databaseTest('prune deletes what expired, the oldest first, at most as many as it may', async (t, { store, another }) => {
  const now = Date.now() / 1000
  for (let index = 0; index < 10; index++) await store.write(session(`s${index}`, { expiresAt: now + index }), 0)
  t.equal(await store.prune(now, 5), 0)
  t.equal(await store.prune(now + 5, 3), 3)
  t.equal(await read(store, 's2'), undefined)
  t.ok(await read(store, 's3'))
  const counts = await Promise.all([store, another().store, another().store].map((each) => each.prune(now + 100, 2)))
  t.ok(counts.every((count) => count === 0 || count === 2))
  while (await store.prune(now + 100, 2) > 0);
  t.same(await store.list('alice'), [])
})

databaseTest('an announcement comes for every revocation, for nothing else, and never before read shows it', async (t, { another }) => {
  const [{ store: writer }, { store: reader }] = [another(), another()]
  const late: string[] = []
  const checks: Promise<unknown>[] = []
  const heard: string[] = []
  let done = () => {}
  const finished = new Promise<void>((resolve) => { done = resolve })
  const ready = new Promise<{ ping (): Promise<void> }>((resolve) => reader.watch({
    ready: resolve,
    lost () {},
    changed: done,
    revoked (ids) {
      for (const id of ids) {
        heard.push(id)
        checks.push(read(reader, id).then((record) => { if (record?.revoked !== true) late.push(id) }))
      }
    }
  }))
  const link = await ready
  const records = Array.from({ length: 200 }, (_, index) => session(`s${index}`))
  await Promise.all(records.map((record) => writer.write(record, 0)))
  await Promise.all(records.map((record) => writer.write({ ...record, revision: 2 }, 1)))
  await Promise.all(records.map((record) => writer.write(revoked(record), 1)))
  t.same(heard, [], 'rotations and lost writes are not announced')
  await Promise.all(records.map((record) => writer.write({ ...revoked(record), revision: 3 }, 2)))
  await link.ping()
  t.equal(new Set(heard).size, 200, 'a ping comes back after all that was committed before it')
  t.equal(heard.length, 200)
  await Promise.all(checks)
  t.same(late, [])

  const long = session('🔑'.repeat(2100))
  t.equal(await writer.write(long, 0), true)
  t.equal(await writer.write(revoked(long), 1), true)
  await finished
})

databaseTest('an echo is sent to the node that asked for it, and to no other', async (t, { another, schema }) => {
  const nodes = [1, 2, 3].map(() => another().store).map((store) => ({ store, ...follow(store) }))
  const client = new Client({ connectionString })
  const sent: (string | undefined)[] = []
  client.on('notification', ({ payload }) => { sent.push(payload) })
  await client.connect()
  t.teardown(() => client.end())
  await client.query(`listen "${schema}.fastify_jwt_session"`)
  const links = await Promise.all(nodes.map(async ({ until, linkOf }) => linkOf(await until('ready'))))
  for (const link of links) await link.ping()
  await nodes[0]?.store.write(session('a'), 0)
  await nodes[0]?.store.write(revoked(session('a')), 1)
  await links[0]?.ping()
  await client.query('select 1')
  t.same(sent, ['["a"]'])
})

databaseTest('a listener that is terminated with a revocation behind it is lost, and ready again', async (t, { pool, store, another }) => {
  const node = follow(another({ application_name: 'terminated' }).store)
  await node.until('ready')
  for (let round = 1; round <= 3; round++) {
    const record = session(`s${round}`)
    await store.write(record, 0)
    const { rowCount } = await pool.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'terminated' and query ~ 'listen'")
    t.equal(rowCount, 1)
    await store.write(revoked(record), 1)
    const lost = await node.until('lost', round)
    t.match(lost.reason?.message, /terminat/)
    const ready = await node.until('ready', round + 1)
    t.ok(ready.at - lost.at < 1000)
    t.equal((await read(store, record.id))?.revoked, true)
    await node.linkOf(ready).ping()
  }
  t.equal(node.all('lost').length, 3)
})

databaseTest('a link that was reset or closed is over, and leaves no connection', async (t, { pool, another }) => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  const { store, pool: own } = another({ application_name: 'closed' })
  const node = follow(store)
  const first = node.linkOf(await node.until('ready'))
  first.reset()
  first.reset()
  await t.rejects(first.ping(), { message: /was reset/ })
  const second = node.linkOf(await node.until('ready', 2))
  first.reset()
  await second.ping()
  t.equal(node.all('lost').length, 1)
  const ping = second.ping()
  ping.catch(() => {})
  await node.close()
  await node.close()
  await t.rejects(second.ping(), { message: /was closed/ })
  await ping.catch(() => {})
  t.equal(node.all('lost').length, 1, 'closing is no loss')
  await own.end()
  own.end = async () => {}
  let left: number | null = null
  for (let attempt = 0; attempt < 40 && left !== 0; attempt++) {
    left = (await pool.query("select from pg_stat_activity where application_name = 'closed'")).rowCount
    await pause(25)
  }
  t.equal(left, 0)
  t.ok(timers() <= before)
})

databaseTest('a listener that is deaf, as behind a transaction pooler, is never ready and says why', async (t, { another }) => {
  let made = 0
  const listen = () => {
    made++
    const client = new Client({ connectionString })
    return Object.assign(client, { query: async () => ({}) }) as unknown as PostgresClient
  }
  const node = follow(another({}, { listen }).store)
  t.match((await node.until('lost')).reason?.message, /No echo within 3000 ms.*transaction pooler/)
  await pause(200)
  t.equal(node.all('ready').length, 0)
  t.equal(made, 2, 'it goes on trying')
})

databaseTest('the listener may have settings or a maker of its own, or a client of the pool', async (t, { another, pool, schema }) => {
  for (const listen of [{ connectionString }, async () => new Client({ connectionString })]) {
    await follow(another({ max: 1 }, { listen }).store).until('ready')
  }
  const small = { query: pool.query.bind(pool), connect: () => pool.connect(), on: pool.on.bind(pool) as () => unknown }
  const store = postgresStore(small, { schema })
  const node = follow(store)
  const first = node.linkOf(await node.until('ready'))
  await first.ping()
  const taken = async () => {
    // The echo may arrive before the answer to the statement that sent it.
    await pause(50)
    return pool.totalCount - pool.idleCount
  }
  t.equal(await taken(), 1)
  first.reset()
  await node.until('ready', 2)
  await node.close()
  t.equal(await taken(), 0, 'the pool has its client back')
  const broken = follow(another({}, { listen: () => { throw new Error('no client today') } }).store)
  t.match((await broken.until('lost')).reason?.message, 'no client today')
  await follow(another({}, { listen: () => null as never }).store).until('lost')
})

databaseTest('a server that ends idle sessions does not end the listener', async (t, { pool, another }) => {
  const { rows: [{ version }] } = await pool.query("select current_setting('server_version_num')::int as version")
  if (version < 140000) return t.plan(0, 'this server does not end idle sessions')
  const node = follow(another({}, { listen: { connectionString, options: '-c idle_session_timeout=50ms' } }).store)
  await node.until('ready')
  await pause(300)
  t.same(node.all('lost'), [])
})

databaseTest('without its table every call says what to do; migrations may run at once and again', async (t, { store, another, pool, schema }) => {
  const missing = { message: new RegExp(`"${schema}.fastify_jwt_session" does not exist: call migrate\\(\\)`), cause: { code: '42P01' } }
  await t.rejects(Promise.resolve(store.read([session('a')])), missing)
  await t.rejects(Promise.resolve(store.write(session('a'), 0)), missing)
  await t.rejects(Promise.resolve(store.list('alice')), missing)
  await t.rejects(Promise.resolve(store.prune(1, 1)), missing)
  const node = follow(store)
  await node.until('ready')

  await Promise.all(Array.from({ length: 8 }, () => another().store.migrate()))
  await store.migrate()
  t.equal(await store.write(session('a'), 0), true)
  await pool.query(store.migration)
  t.ok(await read(store, 'a'))
  t.equal((await pool.query('select from pg_indexes where schemaname = $1', [schema])).rowCount, 4)
}, false)

databaseTest('a role without rights is refused clearly; one that may not create can still call migrate', async (t, { store, another, pool, schema }) => {
  const role = `r_${schema}`
  await pool.query(`create role "${role}"`)
  t.teardown(async () => {
    const client = new Client({ connectionString })
    await client.connect()
    await client.query(`drop owned by "${role}"`)
    await client.query(`drop role "${role}"`)
    await client.end()
  })
  const { store: weak } = another({ options: `-c role=${role}` })
  await t.rejects(Promise.resolve(weak.read([session('a')])), { code: '42501', message: /permission denied for schema/ })
  await t.rejects(weak.migrate(), { code: '42501' })
  await pool.query(`grant usage on schema "${schema}" to "${role}"`)
  await t.rejects(Promise.resolve(weak.write(session('a'), 0)), { code: '42501', message: /permission denied for table/ })
  await pool.query(`grant select, insert, update, delete on "${schema}".fastify_jwt_session to "${role}"`)
  await weak.migrate()
  t.equal(await weak.write(session('a'), 0), true)
  await follow(weak).until('ready')
  t.equal((await store.list('alice')).length, 1)
})

t.test('what cannot be used is refused when the store is made', async (t) => {
  const pool = new Pool({ connectionString })
  const make = (given: unknown, options?: unknown) => () => postgresStore(given as never, options as never)
  const invalid = (message: RegExp) => ({ code: 'FST_JWT_SESSION_OPTION_INVALID', message })
  for (const bad of [undefined, null, 'postgres://', {}, { query () {} }]) t.throws(make(bad), invalid(/postgresStore\(pool\) is not a pool/))
  t.throws(make(new Client()), invalid(/is a single client/))
  for (const name of ['', 'A', 'a b', 'a"', '1a', 'a'.repeat(64), 5, null]) {
    for (const option of ['schema', 'table', 'channel']) t.throws(make(pool, { [option]: name }), invalid(new RegExp(`postgresStore.${option} is not a name`)))
  }
  t.throws(make(pool, { tabel: 'x' }), invalid(/postgresStore.tabel does not exist/))
  t.throws(make(pool, { listen: 'postgres://' }), invalid(/postgresStore.listen makes no client/))
  t.throws(make({ query () {}, connect () {}, on () {} }, { listen: {} }), invalid(/does not tell its Client/))
  t.doesNotThrow(make(pool, { schema: 'a'.repeat(63), table: 'b'.repeat(50), channel: '_c' }))
  t.doesNotThrow(make(pool, { schema: 'a'.repeat(63), table: 'b'.repeat(50) }))
  await pool.end()
})

t.test('a server that crashes, stops or falls silent', async (t) => {
  const server = await postgresServer()
  if (server === undefined) return t.plan(0, 'no server can be started here')
  t.teardown(() => server.remove())
  const pool = new Pool({ connectionString: server.url, max: 4 })
  const store = postgresStore(pool)
  const node = follow(store)
  t.teardown(async () => {
    await node.close()
    await pool.end()
  })
  await store.migrate()
  await node.until('ready')

  await t.test('a crash: nothing is answered while it is down, and what was acknowledged is there afterwards', async (t) => {
    const records = Array.from({ length: 20 }, (_, index) => session(`s${index}`))
    await Promise.all(records.map((record) => store.write(record, 0)))
    await Promise.all(records.slice(10).map((record) => store.write(revoked(record), 1)))
    await server.stop('immediate')
    await node.until('lost')
    await t.rejects(Promise.resolve(store.read(records)))
    await t.rejects(Promise.resolve(store.write(session('new'), 0)))
    await server.start()
    const link = node.linkOf(await node.until('ready', 2))
    await link.ping()
    t.equal((await store.read(records)).filter((record) => record.revoked).length, 10)
    t.equal((await store.list('alice')).length, 10)
    t.equal(node.all('lost').length, 1, 'lost once, however many attempts it took')
  })

  await t.test('a silent server: a ping does not resolve, a reset link is lost, and comes back', async (t) => {
    const link = node.linkOf(await node.until('ready', 2))
    server.pause()
    let outcome = 'none'
    link.ping().then(() => { outcome = 'resolved' }, () => { outcome = 'rejected' })
    await pause(400)
    t.equal(outcome, 'none')
    link.reset()
    await node.until('lost', 2)
    await pause(100)
    t.equal(outcome, 'rejected')
    server.resume()
    await node.linkOf(await node.until('ready', 3)).ping()
    t.equal((await store.list('alice')).length, 10)
  })

  await t.test('a silent server does not keep a closing node from closing', async (t) => {
    server.pause()
    const startedAt = performance.now()
    await node.close()
    t.ok(performance.now() - startedAt < 200)
    server.resume()
  })

  await t.test('an orderly stop', async () => {
    const other = follow(store)
    await other.until('ready')
    await server.stop('fast')
    await other.until('lost')
    await server.start()
    await other.until('ready', 2)
    await other.close()
  })
})

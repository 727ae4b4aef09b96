import { Pool } from 'pg'
import t, { type Test } from 'tap'
import { postgresStore, type PostgresStoreOptions } from '../lib/stores/postgres'
import { answer, LEASE, logout, nodeOver, pause, SLACK, status, until, warm, warmTokens, type Node } from './support/nodes'
import { hasPooler, startPooler } from './support/pgbouncer'
import { postgresServer, type PostgresServer } from './support/postgres-server'
import { startProxy } from './support/proxy'

t.test('postgresql', async (t) => {
  const server = await postgresServer()
  if (server === undefined && !process.env.CI) return t.plan(0, 'no server can be started here')
  const { url, port, remove } = server as PostgresServer
  t.teardown(remove)
  const pool = new Pool({ connectionString: url })
  await postgresStore(pool).migrate()
  await pool.end()

  await t.test('the connection that listens falls silent, and new ones do too', async (t) => {
    const proxy = await startProxy(t, port)
    const listen = { connectionString: url.replace(String(port), String(proxy.port)) }
    const a = await open(t, url)
    const b = await open(t, url, { listen })
    const [kept, ...revoked] = await warmTokens({ a, b }, 4) as [string, string, string, string]
    proxy.mute()
    for (const token of revoked) t.equal(await logout(a, token), 204)
    const late = await Promise.all(revoked.map((token) => until(b, token, 401)))
    t.ok(late.every((ms) => ms < LEASE + SLACK), `accepted for ${late.map(Math.round).join()} ms`)

    for (let round = 0; round < 5; round++) {
      const reads = b.reads()
      t.equal(await status(b, kept), 200, 'nobody else notices')
      t.equal(b.reads(), reads + 1, 'every request asks the store')
      const { access_token: token } = await b.client.login()
      t.equal(await status(b, token), 200)
      t.equal(await logout(a, token), 204)
      t.equal(await answer(b, token), 'SESSION_REVOKED', 'at once')
    }

    proxy.speak()
    await t.resolves(warm(b, kept), 'a new subscription, and no request asks the store')
    await heard(t, a, b, kept)
  })

  await t.test('a transaction pooler in front', { skip: !hasPooler && 'no pgbouncer is installed' }, async (t) => {
    const pooler = await startPooler(t, port)

    await t.test('the store works when "listen" leads to the server itself', async (t) => {
      const [a, b] = [await open(t, pooler, { listen: { connectionString: url } }), await open(t, pooler, { listen: { connectionString: url } })]
      const tokens = await warmTokens({ a, b }, 3)
      for (const token of tokens) await heard(t, a, b, token)
    })

    await t.test('without it, every request asks the store, and the log says why', async (t) => {
      const lines: string[] = []
      const a = await open(t, pooler)
      const b = await open(t, pooler, {}, lines)
      for (let wait = 0; wait < 300 && lines.length === 0; wait++) {
        const { access_token: token } = await a.client.login()
        const reads = b.reads()
        t.equal(await status(b, token), 200)
        t.equal(await status(b, token), 200)
        t.equal(b.reads(), reads + 2)
        t.equal(await logout(a, token), 204)
        t.equal(await answer(b, token), 'SESSION_REVOKED')
        await pause(100)
      }
      t.match(lines, [/not heard.*transaction pooler|transaction pooler.*not heard/s])
    })
  })
})

/** A node; its pool and its subscription go to `url`. */
async function open (t: Test, url: string, options: PostgresStoreOptions = {}, lines: string[] = []): Promise<Node> {
  const pool = new Pool({ connectionString: url, max: 4, connectionTimeoutMillis: 400 })
  pool.on('error', () => {})
  // After the application, whose store closes its own connections.
  t.teardown(async () => { await pool.end() })
  const logger = { level: 'warn', stream: { write: (line: string) => { lines.push(line) } } }
  return await nodeOver(t, postgresStore(pool, options), {}, { logger })
}

/** A session that a node remembers ends there because the node is told so. */
async function heard (t: Test, a: Node, b: Node, token: string): Promise<void> {
  await warm(b, token)
  t.equal(await logout(a, token), 204)
  const ms = await until(b, token, 401)
  t.ok(ms < LEASE, `${ms} ms`)
}

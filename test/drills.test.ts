import Redis from 'ioredis'
import { Pool } from 'pg'
import t, { type Test } from 'tap'
import { postgresStore } from '../lib/stores/postgres'
import { redisStore } from '../lib/stores/redis'
import { buildApp } from './support/app'
import { LEASE, logout, nodesOver, pause, redisClient, SLACK, status, until, warmTokens, type Nodes } from './support/nodes'
import { postgresServer, type PostgresServer } from './support/postgres-server'
import { startProxy } from './support/proxy'
import { installed, startRedis } from './support/redis-server'
import type { RevocationStore } from '../types'

/** What a client sees of a server that goes away and comes back. */
async function goneAndBack (t: Test, nodes: Nodes, crash: () => Promise<void>, restart: () => Promise<void>, keeps: boolean): Promise<void> {
  const [kept, revoked] = await warmTokens(nodes, 2) as [string, string]
  t.equal(await logout(nodes.a, revoked), 204)
  await crash()
  for (const node of [nodes.a, nodes.b]) {
    t.not(await status(node, revoked), 200, 'what was revoked stays out while the server is down')
    t.ok(await until(node, kept, 503) < LEASE + SLACK, 'everybody else is told to come back')
    t.equal(await logout(node, kept), 503, 'a logout that cannot be written is none')
    t.equal((await node.client.post('/login', { username: 'alice', password: 'wonderland' })).statusCode, 503)
  }
  await restart()
  for (const node of [nodes.a, nodes.b]) {
    t.not(await until(node, kept, keeps ? 200 : 401), Infinity, keeps ? 'and then goes on' : 'and then has to log in')
    t.equal(await status(node, revoked), 401, 'what was revoked stays out')
  }
  const again = (await nodes.b.client.login()).access_token
  t.equal(await status(nodes.a, again), 200)
}

t.test('redis', { skip: installed.length === 0 && !process.env.CI && 'no redis-server is installed' }, async (t) => {
  for (const isPersistent of [true, false]) {
    await t.test(`the server is killed ${isPersistent ? 'with' : 'without'} persistence`, async (t) => {
      const server = await startRedis(t, { args: isPersistent ? ['--appendonly', 'yes', '--appendfsync', 'always'] : [] })
      const nodes = await nodesOver(t, async () => redisStore(await redisClient(t, server.port)))
      await goneAndBack(t, nodes, () => server.stop(), () => server.restart(), isPersistent)
    })
  }

  await t.test('the server stands still', async (t) => {
    const server = await startRedis(t)
    const nodes = await nodesOver(t, async () => redisStore(await redisClient(t, server.port)))
    const [token] = await warmTokens(nodes, 1) as [string]
    server.pause()
    t.equal(await status(nodes.b, token), 200, 'nothing can be revoked meanwhile, so the lease is safe')
    t.ok(await until(nodes.b, token, 503) < LEASE + SLACK + 500)
    server.resume()
    t.not(await until(nodes.b, token, 200), Infinity)
  })

  await t.test('the server is slow, but not too slow', async (t) => {
    const server = await startRedis(t)
    const nodes = await nodesOver(t, async () => redisStore(await redisClient(t, server.port)))
    const { access_token: token } = await nodes.a.client.login()
    for (let round = 0; round < 3; round++) {
      server.pause()
      const answer = status(nodes.b, token)
      await pause(200)
      server.resume()
      t.equal(await answer, 200)
    }
  })

  await t.test('subscribers are killed, and a revocation follows at once', async (t) => {
    const server = await startRedis(t)
    const nodes = await nodesOver(t, async () => redisStore(await redisClient(t, server.port)))
    const tokens = await warmTokens(nodes, 10)
    const admin = await redisClient(t, server.port)
    for (const token of tokens) {
      await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
      t.equal(await logout(nodes.a, token), 204)
      const late = await until(nodes.b, token, 401)
      t.ok(late < LEASE, `${late} ms`)
      t.equal((await nodes.b.client.post('/login', { username: 'bob', password: 'builder' })).statusCode, 200, 'and nobody else notices')
    }
  })

  await t.test('the link of a subscriber goes silent', async (t) => {
    const server = await startRedis(t)
    const proxy = await startProxy(t, server.port)
    const direct = await redisClient(t, server.port)
    // Commands go straight to the server; only the subscription goes through the proxy.
    const behind = Object.assign(await redisClient(t, server.port), { duplicate: (options: object) => new Redis({ ...options, host: '127.0.0.1', port: proxy.port }) })
    const nodes = await nodesOver(t, (node) => redisStore(node === 'a' ? direct : behind))
    const tokens = await warmTokens(nodes, 3)
    proxy.freeze()
    for (const token of tokens) t.equal(await logout(nodes.a, token), 204)
    const late = await Promise.all(tokens.map((token) => until(nodes.b, token, 401)))
    t.ok(late.every((ms) => ms < LEASE + SLACK), `accepted for ${late.map(Math.round).join()} ms`)
  })

  await t.test('all is flushed', async (t) => {
    const server = await startRedis(t)
    const nodes = await nodesOver(t, async () => redisStore(await redisClient(t, server.port)))
    const [token] = await warmTokens(nodes, 1) as [string]
    await (await redisClient(t, server.port)).flushall()
    const fresh = await buildApp(t, { revocationStore: redisStore(await redisClient(t, server.port)) })
    t.equal(await status(fresh, token), 401, 'a node that remembers nothing lets nobody in')
    t.equal((await nodes.a.client.post('/logout', undefined, token)).statusCode, 204)
  })

  await t.test('a user without channels: it works, slower, and the log says why', async (t) => {
    const server = await startRedis(t)
    await (await redisClient(t, server.port)).call('ACL', 'SETUSER', 'app', 'on', '>pw', '~*', '+@all', 'resetchannels')
    const client = await redisClient(t, server.port, { username: 'app', password: 'pw' })
    const lines: string[] = []
    const { client: user } = await buildApp(t, { revocationStore: redisStore(client) }, { logger: { level: 'info', stream: { write: (line: string) => { lines.push(line) } } } })
    const { access_token: token } = await user.login()
    t.equal((await user.get('/me', token)).statusCode, 200)
    t.equal((await user.post('/logout', undefined, token)).statusCode, 503, 'what nobody would hear of is not done')
    for (let wait = 0; wait < 100 && !lines.some((line) => line.includes('not heard')); wait++) await pause(20)
    t.equal(lines.filter((line) => line.includes('not heard')).length, 1, 'one clear line')
    t.match(lines.find((line) => line.includes('not heard')), /NOPERM|channel/i)
  })

  await t.test('memory is full', async (t) => {
    const server = await startRedis(t)
    const nodes = await nodesOver(t, async () => redisStore(await redisClient(t, server.port)))
    const [token] = await warmTokens(nodes, 1) as [string]
    await (await redisClient(t, server.port)).config('SET', 'maxmemory', '1')
    t.equal((await nodes.a.client.post('/login', { username: 'alice', password: 'wonderland' })).statusCode, 503)
    t.equal(await logout(nodes.a, token), 204, 'a logout needs no memory')
    t.not(await until(nodes.b, token, 401, LEASE), Infinity)
  })

  await t.test('the client was never connected', async (t) => {
    const client = new Redis({ host: '127.0.0.1', port: 1, lazyConnect: true, maxRetriesPerRequest: 0 })
    client.on('error', () => {})
    t.teardown(() => client.disconnect())
    const { client: user } = await buildApp(t, { storeTimeout: '200ms', revocationStore: redisStore(client, { onWarning: () => {} }) })
    t.equal((await user.post('/login', { username: 'alice', password: 'wonderland' })).code, 'STORE_UNAVAILABLE')
  })
})

t.test('postgresql', async (t) => {
  const server = await postgresServer()
  if (server !== undefined) t.teardown(() => server.remove())
  await t.test('drills', { skip: server === undefined && !process.env.CI && 'no server can be started here' }, async (t) => await postgresDrills(t, server as PostgresServer))
})

async function postgresDrills (t: Test, server: PostgresServer): Promise<void> {
  function openNode (t: Test): RevocationStore {
    const pool = new Pool({ connectionString: server.url, max: 4, connectionTimeoutMillis: 400 })
    pool.on('error', () => {})
    // After the application, whose store closes its own connections.
    t.teardown(async () => { await pool.end() })
    return postgresStore(pool)
  }
  const migrate = async () => {
    const pool = new Pool({ connectionString: server.url })
    await postgresStore(pool).migrate()
    await pool.end()
  }

  await t.test('the table is missing', async (t) => {
    const { client } = await buildApp(t, { revocationStore: openNode(t) })
    t.equal((await client.post('/login', { username: 'alice', password: 'wonderland' })).code, 'STORE_UNAVAILABLE')
  })
  await migrate()

  await t.test('the server crashes and comes back', async (t) => {
    const nodes = await nodesOver(t, () => openNode(t))
    await goneAndBack(t, nodes, () => server.stop('immediate'), () => server.start(), true)
  })

  await t.test('the server stands still', async (t) => {
    const nodes = await nodesOver(t, () => openNode(t))
    const [token] = await warmTokens(nodes, 1) as [string]
    server.pause()
    t.equal(await status(nodes.b, token), 200)
    t.ok(await until(nodes.b, token, 503) < LEASE + SLACK + 500)
    server.resume()
    t.not(await until(nodes.b, token, 200, 10_000), Infinity)
  })

  await t.test('listeners are terminated, and a revocation follows at once', async (t) => {
    const nodes = await nodesOver(t, () => openNode(t))
    const tokens = await warmTokens(nodes, 10)
    const admin = new Pool({ connectionString: server.url })
    t.teardown(async () => { await admin.end() })
    for (const token of tokens) {
      await admin.query("select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen%'")
      t.equal(await logout(nodes.a, token), 204)
      const late = await until(nodes.b, token, 401)
      t.ok(late < LEASE, `${late} ms`)
    }
  })
}

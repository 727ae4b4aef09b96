import t, { type Test } from 'tap'
import { redisStore, type RedisStoreOptions } from '../lib/stores/redis'
import { lookupIn, makeUsers } from './support/app'
import { stopClock, jumpingSteadyClock } from './support/clock'
import { answer, LEASE, logout, nodeOver, nodesOver, pause, redisClient, until, warm, warmTokens, type Node } from './support/nodes'
import { startProxy } from './support/proxy'
import { installed, startRedis } from './support/redis-server'
import type { SessionRef, TokenAnswer } from '../types'

const skip = installed.length === 0 && !process.env.CI && 'no redis-server is installed'

/** A primary and a replica, which clients reach at one address, as behind a load balancer that follows a fail-over. */
async function replicated (t: Test) {
  const primary = await startRedis(t, { args: ['--repl-diskless-sync-delay', '0'] })
  const link = await startProxy(t, primary.port)
  const replica = await startRedis(t, { args: ['--replicaof', '127.0.0.1', String(link.port)] })
  const front = await startProxy(t, primary.port)
  const [one, other] = [await redisClient(t, primary.port), await redisClient(t, replica.port)]
  return {
    store: async (t: Test, options: RedisStoreOptions = {}) => redisStore(await redisClient(t, front.port), options),
    /** Resolves when the replica has everything that was written before. */
    async caughtUp () {
      // WAIT speaks of the writes of its own connection, so there has to be one.
      for (let tries = 0; tries < 100; tries++) {
        await one.set('probe', tries)
        if (await one.wait(1, 100) === 1) return
        await pause(20)
      }
      throw new Error('The replica does not catch up')
    },
    /** From now on the replica hears nothing, and nobody has noticed. */
    lag: link.freeze,
    /** The primary dies, and the replica takes its place. */
    async failOver (nodes: readonly Node[]) {
      await primary.kill9()
      await other.call('REPLICAOF', 'NO', 'ONE')
      front.leadTo(replica.port)
      for (const { client } of nodes) {
        const login = async () => (await client.post('/login', { username: 'bob', password: 'builder' })).statusCode
        for (let tries = 0; await login() !== 200; tries++) {
          if (tries === 200) throw new Error('A node does not reach the new primary')
          await pause(20)
        }
      }
    }
  }
}

function refOf ({ app }: Node, token: string): SessionRef {
  const { sid, sub } = app.jwtSession.decode(token)?.claims as { sid: string, sub: string }
  return { id: sid, subject: sub }
}

t.test('fail-over to a replica that lags behind', { skip }, async (t) => {
  await t.test('undoes a revocation, but not for nodes that heard of it', async (t) => {
    const servers = await replicated(t)
    const nodes = await nodesOver(t, () => servers.store(t))
    const { a, b } = nodes
    const clock = stopClock(t)
    const revoked = await a.client.login()
    const [kept] = await warmTokens(nodes, 1) as [string]
    await warm(b, revoked.access_token)
    await servers.caughtUp()
    servers.lag()
    t.equal(await logout(a, revoked.access_token), 204)
    t.not(await until(b, revoked.access_token, 401, LEASE), Infinity)
    await servers.failOver([a, b])

    const fresh = await nodeOver(t, await servers.store(t))
    t.equal(await answer(fresh, revoked.access_token), 200, 'a node that never heard of it lets the session in: the documented loss')
    for (const node of [a, b]) {
      t.equal(await answer(node, kept), 200)
      t.equal(await answer(node, revoked.access_token), 'SESSION_REVOKED')
      t.equal((await node.client.refresh(revoked.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    }
    const renewed = (await fresh.client.refresh(revoked.refresh_token)).json() as TokenAnswer
    clock.advance(899)
    for (const node of [a, b]) {
      t.equal(await answer(node, revoked.access_token), 'SESSION_REVOKED', 'as long as its access tokens live')
      t.equal(await answer(node, renewed.access_token), 'SESSION_REVOKED', 'and with tokens from a node that did not know')
      t.equal((await node.client.refresh(renewed.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    }
    clock.advance(2)
    t.equal(await answer(fresh, revoked.access_token), 'TOKEN_EXPIRED')

    const last = (await fresh.client.refresh(renewed.refresh_token)).json() as TokenAnswer
    t.equal(await logout(fresh, last.access_token), 204)
    t.equal(await answer(fresh, last.access_token), 'SESSION_REVOKED', 'to log out once more ends it')
  })

  await t.test('keeps a revocation that a replica confirmed; one that it did not is answered by 503', async (t) => {
    const servers = await replicated(t)
    const nodes = await nodesOver(t, () => servers.store(t, { waitReplicas: { count: 1, timeoutMs: 200 } }))
    const { a, b } = nodes
    const tokens = await warmTokens(nodes, 4) as [string, string, string, string]
    await servers.caughtUp()
    const confirmed = tokens.slice(0, 2) as [string, string]
    const unconfirmed = tokens.slice(2) as [string, string]
    t.equal(await logout(a, confirmed[0]), 204)
    t.equal(await a.app.jwtSession.revoke(refOf(a, confirmed[1])), true)
    servers.lag()
    t.equal((await a.client.post('/logout', undefined, unconfirmed[0])).code, 'STORE_UNAVAILABLE')
    await t.rejects(a.app.jwtSession.revoke(refOf(a, unconfirmed[1])), { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE' })
    for (const token of tokens) t.not(await until(b, token, 401, LEASE), Infinity, 'it holds on this primary')
    t.equal((await a.client.post('/login', { username: 'alice', password: 'wonderland' })).statusCode, 200, 'only revocations wait')

    await servers.failOver([a, b])
    const fresh = await nodeOver(t, await servers.store(t))
    for (const token of confirmed) t.equal(await answer(fresh, token), 'SESSION_REVOKED')
    for (const token of unconfirmed) t.equal(await answer(fresh, token), 200, 'which nobody was told has ended')
  })

  await t.test('logs nobody out whose rotations it lost', async (t) => {
    const servers = await replicated(t)
    const clock = stopClock(t)
    const rotations = ['strict', 'tolerant'] as const
    const nodes = await Promise.all(rotations.map(async (rotation) => nodeOver(t, await servers.store(t, { prefix: `${rotation}:` }), { rotation })))
    const tokens = await Promise.all(nodes.map(async (node) => [await node.client.login()]))
    await servers.caughtUp()
    servers.lag()
    const lost = await Promise.all(nodes.map((node) => node.client.login()))
    for (let generation = 1; generation <= 3; generation++) {
      clock.advance(11)
      for (const [index, { client }] of nodes.entries()) {
        const known = tokens[index] as TokenAnswer[]
        known.push((await client.refresh((known.at(-1) as TokenAnswer).refresh_token)).json())
      }
    }
    await servers.failOver(nodes)

    for (const [index, node] of nodes.entries()) {
      const [, first, , latest] = tokens[index] as [TokenAnswer, TokenAnswer, TokenAnswer, TokenAnswer]
      t.equal(await answer(node, latest.access_token), 200)
      const refreshed = await node.client.refresh(latest.refresh_token)
      t.equal(refreshed.statusCode, 200)
      const { access_token: token, refresh_token: next } = refreshed.json() as TokenAnswer
      t.match(node.events.filter(({ name }) => name === 'store.regressed'), [{ generation: 0, presented: 3 }])
      t.equal(await answer(node, token), 200)
      clock.advance(11)
      t.equal((await node.client.refresh(next)).statusCode, 200)

      t.equal((await node.client.refresh(first.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
      t.ok(node.events.some(({ name }) => name === 'session.reused'), 'and reuse is still noticed')
      t.equal(await answer(node, token), 'SESSION_REVOKED')

      const { access_token: nobody, refresh_token: none } = lost[index] as TokenAnswer
      t.equal(await answer(node, nobody), 'SESSION_REVOKED', 'a session that was lost altogether has ended')
      t.equal((await node.client.refresh(none)).code, 'REFRESH_TOKEN_INVALID')
    }
  })
})

interface Member extends TokenAnswer { readonly subject: string }

t.test('a server that evicts sessions', { skip }, async (t) => {
  for (const policy of ['allkeys-lru', 'volatile-ttl']) await t.test(policy, async (t) => await evictionDrill(t, policy))
})

async function evictionDrill (t: Test, policy: string): Promise<void> {
  const server = await startRedis(t, { args: ['--maxmemory-policy', policy] })
  const admin = await redisClient(t, server.port)
  const users = makeUsers()
  const warnings: string[] = []
  const open = async (): Promise<Node> => {
    const store = redisStore(await redisClient(t, server.port), { onWarning: (message) => { warnings.push(message) } })
    return await nodeOver(t, store, { userLookup: lookupIn(users) })
  }
  const old = await open()
  for (let tries = 0; tries < 100 && warnings.length === 0; tries++) await pause(20)
  t.match(warnings, [new RegExp(`maxmemory-policy is ${policy}`)], 'it is warned of at the start, before any request')

  const members: Member[] = []
  async function join (): Promise<void> {
    const id = `user-${users.size}`
    users.set(id, { id, passwordHash: 'plain:secret', roles: [] })
    members.push({ subject: id, ...await old.client.login(id, 'secret') })
  }
  async function split (all: readonly Member[]): Promise<{ kept: Member[], gone: Member[] }> {
    const marks = await Promise.all(all.map(({ subject }) => admin.exists(`fjs:u:${subject}`)))
    return { kept: all.filter((_, index) => marks[index] === 1), gone: all.filter((_, index) => marks[index] === 0) }
  }
  /** Every different answer to all of them. */
  const answers = async (node: Node, all: readonly Member[]) =>
    Array.from(new Set(await Promise.all(all.map(({ access_token: token }) => answer(node, token)))))

  while (members.length < 20) await join()
  const first = members.slice()
  await warm(old, ...first.map(({ access_token: token }) => token))
  const full = Number(/used_memory:(\d+)/.exec(await admin.info('memory'))?.[1]) + 200_000
  await admin.config('SET', 'maxmemory', full)
  while ((await split(first)).gone.length < 3 && members.length < 5000) await Promise.all(Array.from({ length: 10 }, join))
  // Connections need memory, too: nothing more goes while they are made.
  await admin.config('SET', 'maxmemory', 0)

  const fresh = await open()
  const { kept, gone } = await split(members)
  t.comment(`${gone.length} of ${members.length} were evicted`)
  t.same(await answers(fresh, kept), [200])
  t.same(await answers(fresh, gone), ['SESSION_REVOKED'])
  for (const { subject, refresh_token: token } of gone.slice(0, 20)) {
    t.equal((await fresh.client.refresh(token)).code, 'REFRESH_TOKEN_INVALID')
    t.same(await fresh.app.jwtSession.list(subject), [])
  }

  const steady = jumpingSteadyClock(t)
  const forgotten = (await split(first)).gone
  const someone = (kept.at(-1) as Member).access_token
  await warm(old, someone)
  const reads = old.reads()
  t.same(await answers(old, forgotten), [200], 'a node goes on with what it remembers')
  t.equal(old.reads(), reads)
  steady.advance(60)
  await warm(old, someone)
  t.same(await answers(old, forgotten), ['SESSION_REVOKED'], 'for a minute at most')

  await admin.config('SET', 'maxmemory', full)
  const seen = new Set<string | number>()
  async function act (node: Node, { subject, access_token: access, refresh_token: refresh }: Member): Promise<void> {
    const { client } = node
    for (const { code, statusCode } of [
      await client.post('/login', { username: subject, password: 'secret' }),
      await client.refresh(refresh),
      await client.get('/me', access),
      await client.post('/logout', undefined, access)
    ]) seen.add(code ?? statusCode)
  }
  while (members.length > 0) await Promise.all(members.splice(0, 20).map((member, index) => act(index % 2 === 0 ? old : fresh, member)))
  t.same(Array.from(seen, String).filter((code) => code !== 'STORE_UNAVAILABLE').sort(), ['200', '204', 'REFRESH_TOKEN_INVALID', 'SESSION_REVOKED'])
  t.same(await answers(fresh, gone), ['SESSION_REVOKED'], 'what is gone stays gone')
}

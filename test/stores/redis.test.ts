import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import t, { type Test } from 'tap'
import { conformanceTests } from '../../lib/conformance'
import { redisStore, type RedisClient, type RedisStoreOptions } from '../../lib/stores/redis'
import { redisConnection, type NodeRedisClient } from '../../lib/stores/redis-client'
import { startProxy } from '../support/proxy'
import { sampleRecord as record } from '../support/record'
import { installed, startRedis, type PrivateServer } from '../support/redis-server'
import type { RevocationStore, SessionRecord, WatchHandlers } from '../../types'

interface Login { username: string, password: string }

interface Kind {
  readonly name: string
  open (t: Test, port: number, login?: Login): Promise<RedisClient>
  /** The client, but what it duplicates goes to another port. */
  detour (client: RedisClient, port: number): RedisClient
}

const kinds: Kind[] = [
  {
    name: 'ioredis',
    async open (t, port, login) {
      const client = new Redis({ port, host: '127.0.0.1', ...login, lazyConnect: true, retryStrategy: () => 20 })
      client.on('error', () => {})
      t.teardown(() => client.disconnect())
      await client.connect()
      return client
    },
    detour (client, port) {
      const inner = client as Redis
      return {
        get status () { return inner.status },
        get stream () { return inner.stream },
        call: (command: string, args: string[]) => inner.call(command, args),
        duplicate: (override: object) => inner.duplicate({ ...override, port })
      }
    }
  },
  {
    name: 'node-redis',
    async open (t, port, login) {
      const client = createClient({ ...login, socket: { port, host: '127.0.0.1', reconnectStrategy: () => 20 } })
      client.on('error', () => {})
      t.teardown(() => client.destroy())
      await client.connect()
      return client
    },
    detour (client, port) {
      const inner = client as NodeRedisClient
      return {
        get isReady () { return inner.isReady },
        get socketEpoch () { return inner.socketEpoch },
        options: inner.options,
        sendCommand: (args: string[]) => inner.sendCommand(args),
        duplicate: (overrides: { socket: object }) => inner.duplicate({ ...overrides, socket: { ...overrides.socket, port } })
      } as NodeRedisClient
    }
  }
]

const revoked = (of: SessionRecord): SessionRecord => ({ ...of, revision: of.revision + 1, revoked: true })

async function until (what: string, condition: () => unknown, ms = 4000): Promise<void> {
  const deadline = Date.now() + ms
  while (!await condition()) {
    if (Date.now() > deadline) throw new Error(`In vain: ${what}`)
    await sleep(5)
  }
}

/** Sends any command, past the store. */
async function admin (t: Test, { port }: PrivateServer): Promise<(command: string, ...args: (string | number)[]) => Promise<unknown>> {
  const client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => 20 })
  client.on('error', () => {})
  t.teardown(() => client.disconnect())
  return (command, ...args) => client.call(command, ...args)
}

/** A watch that writes down what it is told. */
function observe (t: Test, store: RevocationStore, change: Partial<WatchHandlers> = {}) {
  const seen = { events: [] as string[], ids: [] as string[], link: undefined as Parameters<WatchHandlers['ready']>[0] | undefined }
  const watch = store.watch?.({
    ready (link) { seen.events.push('ready'); seen.link = link },
    lost () { seen.events.push('lost'); seen.link = undefined },
    revoked (ids) { seen.ids.push(...ids) },
    changed () { seen.events.push('changed') },
    ...change
  })
  t.teardown(async () => { await watch?.close() })
  const ready = (): Promise<void> => until('a subscription', () => seen.link)
  const link = () => seen.link as NonNullable<typeof seen.link>
  return { seen, ready, link, close: async () => { await watch?.close() } }
}

for (const binary of installed) {
  for (const kind of kinds) t.test(`${binary} through ${kind.name}`, (t) => suite(t, binary, kind))
}
if (installed.length === 0) t.test('redis', { skip: 'neither redis-server nor valkey-server is installed' }, async () => {})

t.test('what is no client is refused, and so is what cannot be meant', async (t) => {
  const refused = (client: unknown, options?: unknown) =>
    t.throws(() => redisStore(client as RedisClient, options as RedisStoreOptions), { code: 'FST_JWT_SESSION_OPTION_INVALID' })
  for (const client of [undefined, null, 'redis://127.0.0.1', {}, { call () {} }, new Map()]) refused(client)
  const client = createClient()
  refused(client, { prefix: 1 })
  refused(client, { checkServer: 'no' })
  refused(client, { onWarning: 'console' })
  for (const waitReplicas of [{}, { count: 0, timeoutMs: 1 }, { count: 1, timeoutMs: 0 }]) refused(client, { waitReplicas })
})

t.test('a cluster client has no watch, and is asked by key', async (t) => {
  const sent: unknown[] = []
  const nodeRedis = { isReady: true, masters: [], async sendCommand (...args: unknown[]) { sent.push(args); return 1 } }
  const ioredis = { status: 'ready', isCluster: true, async call (...args: unknown[]) { sent.push(args); return 1 } }
  for (const client of [nodeRedis, ioredis]) {
    const store = redisStore(client, { checkServer: false })
    t.notOk('watch' in store)
    t.equal(await store.write(revoked(record('a')), 1), true)
    t.throws(() => redisStore(client, { waitReplicas: { count: 1, timeoutMs: 1 } }), /cluster/)
  }
  t.match(sent, [['fjs:u:alice', false, ['EVALSHA', String, '1', 'fjs:u:alice', 'a', '1', '']], ['EVALSHA', [String, '1', 'fjs:u:alice', 'a', '1', '']]])
})

async function suite (t: Test, binary: string, kind: Kind): Promise<void> {
  const start = (t: Test, ...args: string[]): Promise<PrivateServer> => startRedis(t, { binary, args })

  t.test('keeps what the kit asks of every store', async (t) => {
    const server = await start(t)
    const open = async () => redisStore(await kind.open(t, server.port))
    for (const { name, run } of conformanceTests({ open, watch: true, prune: false, rounds: 10 })) await t.resolves(run(), name)
  })

  t.test('a record is written only over the expected revision, by one of many', async (t) => {
    const server = await start(t)
    const stores = await Promise.all([0, 1, 2].map(async () => redisStore(await kind.open(t, server.port))))
    const store = stores[0] as RevocationStore
    for (let expected = 0; expected < 5; expected++) {
      const answers = await Promise.all(Array.from({ length: 50 }, (_, writer) => {
        const state = { ...record('a').state, generation: writer }
        return (stores[writer % 3] as RevocationStore).write(record('a', { revision: expected + 1, state }), expected)
      }))
      t.equal(answers.filter(Boolean).length, 1)
      const [kept] = await store.read([{ id: 'a', subject: 'alice' }])
      t.match(kept, { revision: expected + 1, revoked: false, state: { generation: answers.indexOf(true) } })
    }
    t.equal(await store.write(record('b', { revision: 3 }), 2), false, 'what is not there is not written over')
    const answers = await Promise.all(stores.map((one) => one.write(revoked(record('a', { revision: 5 })), 5)))
    t.equal(answers.filter(Boolean).length, 1, 'one ends it')
    t.equal(await store.write(record('a', { revision: 6 }), 5), false, 'revoked is final')
    t.same(await store.read([{ id: 'a', subject: 'alice' }]), [])
  })

  t.test('records come back as they were, whatever their names are', async (t) => {
    const server = await start(t)
    const store = redisStore(await kind.open(t, server.port))
    const names = ['alice', '', '日本語 🦊', '{tag}', 'a:b', '"quoted\\"', '\u0000\n', '\ud800', '\ud801', '__proto__', 'x'.repeat(2000)]
    const all = names.flatMap((subject) => names.map((id) => record(id, { subject })))
    t.ok((await Promise.all(all.map((one) => store.write(one, 0)))).every(Boolean))
    t.same(new Set(await store.read(all)), new Set(all))
    for (const subject of names) {
      const listed = await store.list(subject)
      t.same(listed.map(({ id }) => id).sort(), [...names].sort(), JSON.stringify(subject.slice(0, 9)))
    }
    t.same(await store.read([{ id: 'nobody', subject: 'alice' }, { id: 'alice', subject: 'nobody' }]), [])
    t.same(await store.read([]), [])
    t.same(await store.list('nobody'), [])
    t.equal((await store.read([...all, ...all])).length, all.length, 'asking twice answers once')
  })

  t.test('a subject is kept as long as its longest session, and what has expired goes', async (t) => {
    const server = await start(t)
    const send = await admin(t, server)
    const store = redisStore(await kind.open(t, server.port), { prefix: 'shop:' })
    const ttl = async (): Promise<number> => Number(await send('PTTL', 'shop:u:alice')) / 1000
    const time = Date.now() / 1000
    await store.write(record('long', { expiresAt: time + 7200.5 }), 0)
    await store.write(record('short', { expiresAt: time + 0.15 }), 0)
    t.ok(Math.abs(await ttl() - 7200) < 5, 'not shortened')
    await store.write(record('longer', { expiresAt: time + 9000 }), 0)
    t.ok(Math.abs(await ttl() - 9000) < 5, 'raised')
    await until('expiry', () => Date.now() / 1000 > time + 0.2)
    t.same((await store.list('alice')).map(({ id }) => id).sort(), ['long', 'longer'])
    t.equal(await send('HLEN', 'shop:u:alice'), 3)
    await store.write(record('new', { expiresAt: time + 60 }), 0)
    t.same((await send('HKEYS', 'shop:u:alice') as string[]).sort(), ['long', 'longer', 'new'])
    for (const { id, revision } of await store.list('alice')) await store.write(revoked(record(id, { revision })), revision)
    t.equal(await send('EXISTS', 'shop:u:alice'), 0, 'nothing is left')
    t.same(await send('KEYS', '*'), [])
  })

  t.test('what is no record ends that session alone, is told once, and is not written over', async (t) => {
    const server = await start(t)
    const send = await admin(t, server)
    const warnings: string[] = []
    const store = redisStore(await kind.open(t, server.port), { onWarning: (message) => { warnings.push(message) } })
    const [good, other] = [record('good'), record('other', { subject: 'bob' })]
    for (const one of [good, other]) await store.write(one, 0)
    const { state, expiresAt } = good
    const broken = [
      'nonsense', '', 'null', '{}', '[]', '[1]', '["1",5,{}]',
      ...[[0, expiresAt, state], [-1, expiresAt, state], [1.5, expiresAt, state], [1, 'soon', state], [1, expiresAt, null], [1, expiresAt, { ...state, idleExpiresAt: null }]]
        .map((value) => JSON.stringify(value)),
      ` ${JSON.stringify([1, expiresAt, state])}`
    ]
    for (const value of broken) {
      await send('HSET', 'fjs:u:alice', 'a', value)
      t.same(await store.read([record('a'), good, other]), [good, other], value)
      t.same(await store.list('alice'), [good], value)
      t.equal(await store.write(record('a'), 0), false, 'it is there, so nothing is opened over it')
      t.equal(await store.write(revoked(record('a')), 0), false)
      t.equal(await send('HGET', 'fjs:u:alice', 'a'), value)
    }
    await send('HSET', 'fjs:u:alice', 'a"', JSON.stringify([1, expiresAt, state]))
    t.same(await store.list('alice'), [good], 'nor is what has the name of none')
    t.equal(warnings.length, 1)
    t.match(warnings[0], 'fjs:u:alice')
    t.notMatch(warnings[0], 'nonsense')
    await send('SET', 'fjs:u:carol', 'x')
    await t.rejects((async () => await store.list('carol'))(), /WRONGTYPE/)
    await t.rejects((async () => await store.write(record('a', { subject: 'carol' }), 0))(), /WRONGTYPE/)
  })

  t.test('a revocation is announced to all, and read shows it before', async (t) => {
    const server = await start(t)
    const store = redisStore(await kind.open(t, server.port))
    const other = redisStore(await kind.open(t, server.port))
    const stranger = redisStore(await kind.open(t, server.port), { prefix: 'other:' })
    const early: string[] = []
    const checks: Promise<void>[] = []
    const watch = observe(t, other, {
      revoked (ids) {
        checks.push((async () => {
          if ((await other.read(ids.map((id) => ({ id, subject: 'alice' })))).length > 0) early.push(...ids)
        })())
      }
    })
    const second = observe(t, store)
    const deaf = observe(t, stranger)
    await Promise.all([watch.ready(), second.ready(), deaf.ready()])
    const sessions = Array.from({ length: 300 }, (_, index) => record(`s${index}`))
    await Promise.all(sessions.map((session) => store.write(session, 0)))
    const ended = await Promise.all(sessions.map((session) => store.write(revoked(session), 1)))
    t.ok(ended.every(Boolean))
    await Promise.all([watch.link().ping(), second.link().ping(), deaf.link().ping()])
    t.equal(checks.length, 300, 'a ping answers behind every announcement before it')
    await Promise.all(checks)
    t.same(early, [])
    t.same(second.seen.ids.sort(), sessions.map(({ id }) => id).sort(), 'the writer hears it too')
    t.same(deaf.seen.ids, [], 'another prefix does not')
    await store.write(record('alive'), 0)
    await store.write(record('alive', { revision: 2 }), 1)
    await store.write(revoked(record('nobody', { revision: 3 })), 3)
    await second.link().ping()
    t.equal(second.seen.ids.length, 300, 'nothing else is announced')
  })

  t.test('a killed subscriber is lost once and comes back; a closed one leaves nothing', async (t) => {
    const server = await start(t)
    const send = await admin(t, server)
    const store = redisStore(await kind.open(t, server.port))
    const watch = observe(t, store)
    await watch.ready()
    for (let round = 1; round <= 5; round++) {
      const link = watch.link()
      await send('CLIENT', 'KILL', 'TYPE', 'pubsub')
      await until('loss', () => watch.seen.events.length >= 2 * round)
      await t.rejects(link.ping(), 'an old link answers no more')
      link.reset()
      await watch.ready()
    }
    t.same(watch.seen.events, ['ready', ...Array.from({ length: 5 }, () => ['lost', 'ready']).flat()])
    const session = record('a')
    await store.write(session, 0)
    await store.write(revoked(session), 1)
    await watch.link().ping()
    t.same(watch.seen.ids, ['a'])
    const link = watch.link()
    const open = link.ping()
    await watch.close()
    await Promise.allSettled([open])
    await t.rejects(link.ping())
    await until('no subscriber', async () => (await send('PUBSUB', 'NUMSUB', 'fjs:revoked') as unknown[])[1] === 0)
    t.equal(watch.seen.events.length, 11, 'closing is no loss')
  })

  t.test('a subscriber that hears nothing is found by ping and replaced by reset', async (t) => {
    const server = await start(t)
    const proxy = await startProxy(t, server.port)
    const client = await kind.open(t, server.port)
    const store = redisStore(kind.detour(client, proxy.port))
    const watch = observe(t, store)
    await watch.ready()
    await watch.link().ping()
    proxy.freeze()
    const session = record('a')
    await store.write(session, 0)
    t.equal(await store.write(revoked(session), 1), true, 'writing goes on')
    const link = watch.link()
    const ping = link.ping()
    ping.catch(() => {})
    t.equal(await Promise.race([ping, sleep(150, 'silence')]), 'silence')
    t.same(watch.seen.events, ['ready'], 'nothing tells of it but the ping')
    link.reset()
    t.same(watch.seen.events, ['ready', 'lost'])
    await t.rejects(ping)
    await watch.ready()
    await watch.link().ping()
    t.same(watch.seen.ids, [])
    t.same(watch.seen.events, ['ready', 'lost', 'ready'])
  })

  for (const persistence of [true, false]) {
    t.test(`kill -9 ${persistence ? 'with' : 'without'} persistence: errors while it is down, nobody let in`, async (t) => {
      const server = await start(t, ...(persistence ? ['--appendonly', 'yes', '--appendfsync', 'always'] : []))
      const client = await kind.open(t, server.port)
      const store = redisStore(client, { onWarning () {} })
      const watch = observe(t, store)
      await watch.ready()
      const sessions = Array.from({ length: 20 }, (_, index) => record(`s${index}`))
      for (const session of sessions) await store.write(session, 0)
      for (const session of sessions.slice(10)) await store.write(revoked(session), 1)
      await server.kill9()
      await until('loss', () => watch.seen.events.includes('lost'))
      // What is sent before the client itself knows is for the plugin's storeTimeout to bound.
      await until('the client knows', () => redisConnection(client).findProblem())
      const before = Date.now()
      await t.rejects((async () => await store.read(sessions))())
      await t.rejects((async () => await store.write(record('new'), 0))())
      await t.rejects((async () => await store.write(revoked(sessions[0] as SessionRecord), 1))())
      await t.rejects((async () => await store.list('alice'))())
      t.ok(Date.now() - before < 500, 'at once')
      await server.restart()
      await watch.ready()
      const alive = (await store.read(sessions)).map(({ id }) => id)
      t.same(alive, persistence ? sessions.slice(0, 10).map(({ id }) => id) : [])
      t.equal(await store.write(record('s0', { revision: 2 }), 1), persistence, 'a lost session is not written again')
    })
  }

  t.test('a stopped server answers nothing, and everything when it goes on', async (t) => {
    const server = await start(t)
    const store = redisStore(await kind.open(t, server.port))
    const watch = observe(t, store)
    await watch.ready()
    await store.write(record('a'), 0)
    server.pause()
    const read = (async () => await store.read([record('a')]))()
    const ping = watch.link().ping()
    t.equal(await Promise.race([read, ping, sleep(150, 'silence')]), 'silence')
    server.resume()
    t.equal((await read).length, 1)
    await ping
    t.same(watch.seen.events, ['ready'])
  })

  t.test('FLUSHALL ends every session, and none is written again', async (t) => {
    const server = await start(t)
    const send = await admin(t, server)
    const store = redisStore(await kind.open(t, server.port))
    await store.write(record('a'), 0)
    await send('FLUSHALL')
    await send('SCRIPT', 'FLUSH')
    t.same(await store.read([record('a')]), [])
    t.same(await store.list('alice'), [])
    t.equal(await store.write(record('a', { revision: 2 }), 1), false)
    t.equal(await send('DBSIZE'), 0)
  })

  t.test('a full server opens no session, and ends every one', async (t) => {
    const server = await start(t)
    const send = await admin(t, server)
    const store = redisStore(await kind.open(t, server.port))
    const watch = observe(t, store)
    await watch.ready()
    for (const id of ['a', 'b']) await store.write(record(id), 0)
    await send('CONFIG', 'SET', 'maxmemory', 1)
    await t.rejects((async () => await store.write(record('c'), 0))(), /OOM/)
    await t.rejects((async () => await store.write(record('a', { revision: 2 }), 1))(), /OOM/)
    t.equal(await store.write(revoked(record('a')), 1), true)
    await send('SCRIPT', 'FLUSH')
    t.equal(await store.write(revoked(record('b')), 1), true, 'also when the script has to be sent')
    t.same(await store.list('alice'), [])
    await watch.link().ping()
    t.same(watch.seen.ids, ['a', 'b'])
  })

  t.test('a user that may not publish ends no session unheard', async (t) => {
    const server = await start(t)
    const send = await admin(t, server)
    await send('ACL', 'SETUSER', 'app', 'on', '>pass', '~*', '+@all', 'resetchannels')
    const reasons: string[] = []
    const store = redisStore(await kind.open(t, server.port, { username: 'app', password: 'pass' }))
    const watch = observe(t, store, { lost: (reason) => { reasons.push(String(reason)) } })
    await store.write(record('a'), 0)
    await t.rejects((async () => await store.write(revoked(record('a')), 1))(), /permission|NOPERM|can't publish/i)
    t.equal((await store.read([record('a')])).length, 1, 'still there')
    await until('a reason', () => reasons.length > 0)
    await sleep(200)
    t.equal(reasons.length, 1, 'told once')
    t.match(reasons[0], /NOPERM/)
    t.same(watch.seen.events, [])
    await send('ACL', 'SETUSER', 'app', '&fjs:*')
    await watch.ready()
    t.equal(await store.write(revoked(record('a')), 1), true)
  })

  t.test('an eviction policy is warned of once, unless that is switched off', async (t) => {
    const server = await start(t, '--maxmemory-policy', 'volatile-lru')
    const client = await kind.open(t, server.port)
    const warnings: string[] = []
    const onWarning = (message: string): void => { warnings.push(message) }
    const silent = redisStore(client, { onWarning, checkServer: false })
    for (const store of [silent, redisStore(client, { onWarning })]) {
      for (let count = 0; count < 3; count++) await store.list('alice')
    }
    await until('a warning', () => warnings.length > 0)
    await sleep(20)
    t.equal(warnings.length, 1)
    t.match(warnings[0], 'maxmemory-policy is volatile-lru')
  })

  t.test('a revocation that too few replicas confirm is rejected', async (t) => {
    const server = await start(t, '--repl-diskless-sync-delay', '0')
    const replica = await start(t, '--replicaof', '127.0.0.1', String(server.port))
    const client = await kind.open(t, server.port)
    const store = redisStore(client, { waitReplicas: { count: 1, timeoutMs: 500 } })
    const send = await admin(t, server)
    for (const id of ['a', 'b']) await store.write(record(id), 0)
    // WAIT speaks of the writes of its own connection, so there has to be one.
    await until('the replica', async () => {
      await send('SET', 'probe', '1')
      return await send('WAIT', 1, 100) === 1
    }, 8000)
    await store.write(record('c'), 0)
    t.equal(await store.write(revoked(record('a')), 1), true)
    t.equal(await store.write(revoked(record('a')), 1), false)
    replica.pause()
    await t.rejects((async () => await store.write(revoked(record('b')), 1))(), /0 of 1 replicas/)
    t.equal(await store.write(record('d'), 0), true, 'only revocations wait')
    replica.resume()
  })
}

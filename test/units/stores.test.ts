import t from 'tap'
import { boundedStore } from '../../lib/stores/bounded'
import { memoryStore } from '../../lib/stores/memory'
import { jumpingSteadyClock, stopClock } from '../support/clock'
import { sampleRecord as record } from '../support/record'
import { loggedWatch } from '../../lib/stores/logged'
import type { RevocationStore, SessionRecord, StoreCall, WatchHandlers } from '../../types'

t.test('memory: writes only over the expected revision', async (t) => {
  const store = memoryStore()
  const first = record('a')
  t.equal(store.write(first, 1), false)
  t.equal(store.write(first, 0), true)
  t.equal(store.write(first, 0), false)
  t.equal(store.write({ ...first, revision: 2 }, 1), true)
  t.equal(store.write({ ...first, revision: 2 }, 1), false)
  t.match(store.read([{ id: 'a', subject: 'alice' }, { id: 'b', subject: 'alice' }]), [{ revision: 2 }])
  t.same(store.read([{ id: '__proto__', subject: 'alice' }, { id: 'constructor', subject: 'alice' }]), [])
})

t.test('memory: keeps a copy that nobody can change', async (t) => {
  const store = memoryStore()
  const mine = record('a')
  store.write(mine, 0)
  ;(mine.state as { generation: number }).generation = 9
  const [kept] = store.read([mine]) as SessionRecord[]
  t.equal(kept?.state.generation, 0)
  t.throws(() => { (kept as { revoked: boolean }).revoked = true }, TypeError)
  t.throws(() => { (kept?.state.device as { ip: string }).ip = 'x' }, TypeError)
})

t.test('memory: lists by subject, and forgets what is revoked or expired', async (t) => {
  const clock = stopClock(t)
  const store = memoryStore()
  const now = clock.now()
  for (const id of ['a', 'b']) store.write(record(id), 0)
  store.write(record('c', { subject: 'bob', expiresAt: now + 7200 }), 0)
  t.same((store.list('alice') as SessionRecord[]).map(({ id }) => id), ['a', 'b'])
  store.write(record('a', { revision: 2, revoked: true }), 1)
  t.same((store.list('alice') as SessionRecord[]).map(({ id }) => id), ['b'])
  t.equal(store.write(record('a', { revision: 3 }), 2), false, 'revoked is final')

  clock.advance(3700)
  store.write(record('d', { subject: 'carol' }), 0)
  t.same(store.list('alice'), [])
  t.same(store.read([{ id: 'b', subject: 'alice' }]), [])
  t.equal((store.list('bob') as SessionRecord[]).length, 1)
})

t.test('memory: ten thousand sessions come and go and leave nothing', async (t) => {
  const clock = stopClock(t)
  const store = memoryStore()
  for (let count = 0; count < 10_000; count++) {
    const session = record(`s${count}`)
    store.write(session, 0)
    if (count % 2 === 0) store.write({ ...session, revision: 2, revoked: true }, 1)
    clock.advance(1)
  }
  clock.advance(3700)
  store.write(record('last'), 0)
  t.equal((store.list('alice') as SessionRecord[]).length, 1)
  const refs = Array.from({ length: 10_000 }, (_, count) => ({ id: `s${count}`, subject: 'alice' }))
  t.same(store.read(refs), [])
})

t.test('memory: a clock that ran ahead for a while leaves nothing behind', async (t) => {
  const clock = stopClock(t)
  const store = memoryStore()
  clock.advance(86_400)
  store.write(record('ahead'), 0)
  clock.advance(-86_400)
  store.write(record('right'), 0)
  clock.advance(3700)
  store.write(record('later'), 0)
  t.same((store.list('alice') as SessionRecord[]).map(({ id }) => id), ['ahead', 'later'])
})

t.test('bounded: answers at once what the store answers at once', async (t) => {
  const store = boundedStore(memoryStore(), 1)
  t.same(store.read([]), [])
  t.same(store.list('alice'), [])
  t.equal(store.write(record('a'), 0), true)
})

t.test('bounded: a store that changes what it is given changes nobody else', async (t) => {
  const ref = { id: 'a', subject: 'alice' }
  const store = boundedStore({
    ...memoryStore(),
    read (refs) {
      for (const given of refs) Object.assign(given, { id: 'b', subject: 'bob' })
      return []
    }
  }, 1)
  t.same(store.read([ref]), [])
  t.same(ref, { id: 'a', subject: 'alice' })
})

t.test('bounded: every failure is STORE_UNAVAILABLE, with its cause', async (t) => {
  const failure = new Error('connection refused')
  const never = new Promise<never>(() => {})
  const bad: [string, Partial<RevocationStore>, string | undefined][] = [
    ['throws', { read () { throw failure } }, failure.message],
    ['rejects', { read: () => Promise.reject(failure) }, failure.message],
    ['hangs', { read: () => never }, undefined],
    ['answers nothing', { read: () => undefined as never }, undefined],
    ['answers nothing, later', { read: async () => null as never }, undefined]
  ]
  for (const [name, methods, message] of bad) {
    const store = boundedStore({ ...memoryStore(), ...methods }, 0.01)
    await t.rejects((async () => await store.read([]))(), {
      code: 'FST_JWT_SESSION_STORE_UNAVAILABLE', statusCode: 503, ...(message === undefined ? {} : { cause: { message } })
    }, name)
  }
  const mute = boundedStore({ ...memoryStore(), write: () => undefined as never, list: () => 'alice' as never }, 0.01)
  t.throws(() => mute.write(record('a'), 0), { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE' })
  t.throws(() => mute.list('alice'), { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE' })
})

t.test('bounded: each call that had to be waited for is told, with how long and what became of it', async (t) => {
  const clock = jumpingSteadyClock(t)
  const calls: StoreCall[] = []
  const reports = { failed () {}, listener: () => (call: StoreCall) => { calls.push(call) } }
  const inner = memoryStore()
  const store = boundedStore({
    read: async (refs) => { clock.advance(1000); return await inner.read(refs) },
    write: async (session, expected) => { await null; clock.advance(2000); return await inner.write(session, expected) },
    list: async () => 'alice' as never
  }, 5, reports)
  await store.read([])
  await store.write(record('a'), 0)
  await t.rejects(async () => await store.list('alice'), { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE' })
  await t.rejects(async () => await boundedStore({ ...inner, read: () => new Promise(() => {}) }, 0.01, reports).read([]))
  t.same(calls.map(({ operation, outcome }) => `${operation} ${outcome}`), ['read answered', 'write answered', 'list failed', 'read failed'])
  t.same(calls.map(({ duration }) => Math.floor(duration / 1000)), [0, 2, 0, 0], 'from when there was something to wait for')
})

t.test('bounded: no clock is read where nobody reads of calls, nor for a store that answers at once', async (t) => {
  const { now } = performance
  let looks = 0
  performance.now = () => { looks++; return now.call(performance) }
  t.teardown(() => { performance.now = now })
  const inner = memoryStore()
  const slow = { ...inner, read: async () => [] }
  let calls = 0
  const reports = { failed () {}, listener: () => () => { calls++ } }
  await boundedStore(slow, 1).read([])
  await boundedStore(slow, 1, { ...reports, listener: () => undefined }).read([])
  boundedStore(inner, 1, reports).read([])
  t.same([looks, calls], [0, 0])
  await boundedStore(slow, 1, reports).read([])
  t.same([looks, calls], [2, 1])
})

t.test('logged: troubles of a watch are told once, and so is their end', async (t) => {
  const lines: string[] = []
  const log = { warn: ({ err }: { err: Error }) => lines.push(`warn ${err.message}`), info: () => lines.push('info') }
  let inner = null as WatchHandlers | null
  const heard: string[] = []
  loggedWatch((on) => { inner = on; return { close () {} } }, log as never)({
    ready: () => heard.push('ready'), lost: () => heard.push('lost'), revoked: (ids) => heard.push(...ids), changed: () => heard.push('changed')
  })
  const on = inner as WatchHandlers
  const link = { ping: async () => {}, reset () {} }
  on.ready(link)
  on.revoked(['a'])
  on.changed()
  on.lost(new Error('cut'))
  on.lost(new Error('still cut'))
  on.ready(link)
  t.same(heard, ['ready', 'a', 'changed', 'lost', 'lost', 'ready'])
  t.same(lines, ['warn cut', 'info'])
})

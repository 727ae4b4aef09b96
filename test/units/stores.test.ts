import t from 'tap'
import { boundedStore } from '../../lib/stores/bounded'
import { memoryStore } from '../../lib/stores/memory'
import { stopClock } from '../support/clock'
import { loggedWatch } from '../../lib/stores/logged'
import type { RevocationStore, SessionRecord, WatchHandlers } from '../../types'

function record (id: string, now: number, change: Partial<SessionRecord> = {}): SessionRecord {
  return {
    id,
    subject: 'alice',
    revision: 1,
    expiresAt: now + 3600,
    revoked: false,
    state: { generation: 0, rotatedAt: now, seen: false, authTime: now, createdAt: now, idleExpiresAt: now + 60, device: { ip: '::1' } },
    ...change
  }
}

t.test('memory: writes only over the expected revision', async (t) => {
  const now = stopClock(t).now()
  const store = memoryStore()
  const first = record('a', now)
  t.equal(store.write(first, 1), false)
  t.equal(store.write(first, 0), true)
  t.equal(store.write(first, 0), false)
  t.equal(store.write({ ...first, revision: 2 }, 1), true)
  t.equal(store.write({ ...first, revision: 2 }, 1), false)
  t.match(store.read([{ id: 'a', subject: 'alice' }, { id: 'b', subject: 'alice' }]), [{ revision: 2 }])
  t.same(store.read([{ id: '__proto__', subject: 'alice' }, { id: 'constructor', subject: 'alice' }]), [])
})

t.test('memory: keeps a copy that nobody can change', async (t) => {
  const now = stopClock(t).now()
  const store = memoryStore()
  const mine = record('a', now)
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
  for (const id of ['a', 'b']) store.write(record(id, now), 0)
  store.write(record('c', now, { subject: 'bob', expiresAt: now + 7200 }), 0)
  t.same((store.list('alice') as SessionRecord[]).map(({ id }) => id), ['a', 'b'])
  store.write(record('a', now, { revision: 2, revoked: true }), 1)
  t.same((store.list('alice') as SessionRecord[]).map(({ id }) => id), ['b'])
  t.equal(store.write(record('a', now, { revision: 3 }), 2), false, 'revoked is final')

  clock.advance(3700)
  store.write(record('d', clock.now(), { subject: 'carol' }), 0)
  t.same(store.list('alice'), [])
  t.same(store.read([{ id: 'b', subject: 'alice' }]), [])
  t.equal((store.list('bob') as SessionRecord[]).length, 1)
})

t.test('memory: ten thousand sessions come and go and leave nothing', async (t) => {
  const clock = stopClock(t)
  const store = memoryStore()
  for (let count = 0; count < 10_000; count++) {
    const session = record(`s${count}`, clock.now())
    store.write(session, 0)
    if (count % 2 === 0) store.write({ ...session, revision: 2, revoked: true }, 1)
    clock.advance(1)
  }
  clock.advance(3700)
  store.write(record('last', clock.now()), 0)
  t.equal((store.list('alice') as SessionRecord[]).length, 1)
  const refs = Array.from({ length: 10_000 }, (_, count) => ({ id: `s${count}`, subject: 'alice' }))
  t.same(store.read(refs), [])
})

t.test('memory: a clock that ran ahead for a while leaves nothing behind', async (t) => {
  const clock = stopClock(t)
  const store = memoryStore()
  clock.advance(86_400)
  store.write(record('ahead', clock.now()), 0)
  clock.advance(-86_400)
  store.write(record('right', clock.now()), 0)
  clock.advance(3700)
  store.write(record('later', clock.now()), 0)
  t.same((store.list('alice') as SessionRecord[]).map(({ id }) => id), ['ahead', 'later'])
})

t.test('bounded: answers at once what the store answers at once', async (t) => {
  const store = boundedStore(memoryStore(), 1)
  t.same(store.read([]), [])
  t.same(store.list('alice'), [])
  t.equal(store.write(record('a', Date.now() / 1000), 0), true)
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
  t.throws(() => mute.write(record('a', 0), 0), { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE' })
  t.throws(() => mute.list('alice'), { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE' })
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

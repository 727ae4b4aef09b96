import t from 'tap'
import { createSessions, type Sessions } from '../../lib/sessions'
import { timing } from '../../lib/clock'
import { liveSessions } from '../../lib/stores/live'
import { INTERVALS } from '../../lib/policy'
import { nextOf } from '../../lib/record'
import { boundedStore } from '../../lib/stores/bounded'
import { memoryStore } from '../../lib/stores/memory'
import { explore, StepStore, type Fault, type Trace } from '../support/explore'
import { stopClock } from '../support/clock'
import type { Emit } from '../../lib/events'
import type { RefreshRefusal, RevocationStore, SessionEventMap, SessionRecord } from '../../types'

type Rotation = keyof typeof INTERVALS

/** How one actor of a race fared. */
type Outcome = { generation: number } | { refused: RefreshRefusal } | { failed: string } | { revoked: boolean } | undefined

const LIVE = { lease: 1, maxAge: 60, maxEntries: 1000, burial: 900, deadline: 1 }

const silent: Emit = () => {}

function sessionsOver (
  store: RevocationStore, rotation: Rotation, emit = silent, maxPerSubject = Infinity, live = liveSessions(store, LIVE, timing)
): Sessions {
  return createSessions(
    store, live, { idleTimeout: 604_800, absoluteTimeout: 2_592_000, maxPerSubject, intervals: INTERVALS[rotation] }, emit
  )
}

/** A record as it is after login, `age` seconds ago. */
function record (now: number, { generation = 0, age = 100, seen = false } = {}): SessionRecord {
  return {
    id: 'the-session',
    subject: 'alice',
    revision: 1,
    expiresAt: now + 1_000_000,
    revoked: false,
    state: { generation, rotatedAt: now - age, seen, authTime: now, createdAt: now, idleExpiresAt: now + 500_000, device: {} }
  }
}

const ref = { id: 'the-session', subject: 'alice' }

async function rotate (sessions: Sessions, presented: number): Promise<Outcome> {
  try {
    const renewal = await sessions.rotate(ref, presented, async ({ state: { generation } }) => ({ generation }))
    return 'prepared' in renewal ? renewal.prepared : renewal
  } catch (error) {
    return { failed: (error as { code: string }).code }
  }
}

async function end (act: () => Promise<unknown>): Promise<Outcome> {
  try {
    await act()
    return { revoked: true }
  } catch (error) {
    return { failed: (error as { code: string }).code }
  }
}

/** The position of an actor's first read, and of the first write that went through. */
function overlap (trace: Trace, actor: string): boolean {
  const read = trace.steps.findIndex((step) => step.actor === actor && step.method === 'read')
  const write = trace.steps.findIndex(({ method, fault }) => method === 'write' && fault !== 'crashed before' && fault !== 'rejected before')
  return write === -1 || read < write
}

t.test('a write that was rejected is looked at again', async (t) => {
  const clock = stopClock(t)
  type Write = RevocationStore['write']
  function over (write: (inner: RevocationStore) => Write, initial = record(clock.now())): { sessions: Sessions, inner: RevocationStore } {
    const inner = memoryStore()
    if (initial.revision > 0) inner.write(initial, 0)
    return { sessions: sessionsOver(boundedStore({ ...inner, write: write(inner) }, 1), 'strict'), inner }
  }
  const lost = (inner: RevocationStore): Write => (next, expected) => { inner.write(next, expected); throw new Error('lost') }
  const deaf = (): Write => () => Promise.reject(new Error('deaf'))

  t.same(await rotate(over(lost).sessions, 0), { generation: 1 }, 'applied: the refresh succeeds')
  t.same(await rotate(over(deaf).sessions, 0), { failed: 'FST_JWT_SESSION_STORE_UNAVAILABLE' })
  t.same(await end(() => over(lost).sessions.revoke(ref, 'logout')), { revoked: true })
  t.same(await end(() => over(deaf).sessions.revoke(ref, 'logout')), { failed: 'FST_JWT_SESSION_STORE_UNAVAILABLE' }, 'a logout that was not written is none')

  const final = (inner: RevocationStore): Write => (next, expected) => { inner.write(next, expected); throw Object.assign(new Error('one of two'), { isFinal: true }) }
  t.same(await end(() => over(final).sessions.revoke(ref, 'logout')), { failed: 'FST_JWT_SESSION_STORE_UNAVAILABLE' }, 'unless the store says that it is final')

  const { sessions, inner } = over(lost)
  const draft = sessions.draft('alice', {})
  await sessions.open(draft)
  t.equal((inner.read([draft]) as SessionRecord[]).length, 1)
  await t.rejects(over(deaf).sessions.open(draft), { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE', cause: { message: 'deaf' } })

  // Rejected, and somebody else's write came first: ours is lost for certain.
  let isFirst = true
  const overtaken = over((inner) => (next, expected) => {
    if (!isFirst) return inner.write(next, expected)
    isFirst = false
    inner.write({ ...next, state: { ...next.state, rotatedAt: next.state.rotatedAt - 1 } }, expected)
    throw new Error('lost')
  })
  t.same(await rotate(overtaken.sessions, 0), { generation: 1 })
})

t.test('a store that refuses every write is unavailable, not an endless loop', async (t) => {
  const clock = stopClock(t)
  const inner = memoryStore()
  inner.write(record(clock.now()), 0)
  let writes = 0
  const sessions = sessionsOver({ ...inner, write: () => { writes++; return false } }, 'tolerant')
  t.same(await rotate(sessions, 0), { failed: 'FST_JWT_SESSION_STORE_UNAVAILABLE' })
  t.equal(writes, 50)
  t.same(await end(() => sessions.revoke(ref, 'logout')), { failed: 'FST_JWT_SESSION_STORE_UNAVAILABLE' })
  await t.rejects(Promise.resolve(sessions.resume({ session: ref }, 0)), { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE' })
  await t.rejects(sessions.open(sessions.draft('alice', {})), { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE', cause: { message: /new session/ } })
})

t.test('a failing prepare burns no token', async (t) => {
  const clock = stopClock(t)
  const inner = memoryStore()
  inner.write(record(clock.now()), 0)
  const sessions = sessionsOver(inner, 'strict')
  await t.rejects(sessions.rotate(ref, 0, async () => { throw new Error('claims failed') }), { message: 'claims failed' })
  t.same(await rotate(sessions, 0), { generation: 1 })
})

t.test('an authentic token of a generation that the store lost moves the session on', async (t) => {
  const clock = stopClock(t)
  const events: [keyof SessionEventMap, object][] = []
  const inner = memoryStore()
  inner.write(record(clock.now()), 0)
  const sessions = sessionsOver(inner, 'strict', (name, event) => events.push([name, event]))
  t.same(await rotate(sessions, 5), { generation: 6 })
  t.match(events[0], ['store.regressed', { generation: 0, presented: 5 }])
  t.same(await rotate(sessions, 6), { generation: 7 }, 'and detection goes on')
  t.same(await rotate(sessions, 5), { refused: 'reused' })
})

t.test('a node that heard of a revocation renews no token, though the store has lost it', async (t) => {
  const clock = stopClock(t)
  const inner = memoryStore()
  inner.write(record(clock.now()), 0)
  const live = liveSessions(inner, LIVE, timing)
  const sessions = sessionsOver(inner, 'strict', silent, Infinity, live)
  live.bury('another')
  t.same(await rotate(sessions, 0), { generation: 1 })
  live.bury(ref.id)
  for (const presented of [0, 1, 2]) t.same(await rotate(sessions, presented), { refused: 'revoked' })
  t.match(inner.read([ref]), [{ revision: 2, revoked: false }], 'and writes nothing')
})

t.test('resume answers without a promise when the store does', async (t) => {
  const clock = stopClock(t)
  const inner = memoryStore()
  inner.write(record(clock.now()), 0)
  t.equal(sessionsOver(inner, 'strict').resume({ session: ref }, 0), true)
  t.equal(sessionsOver(inner, 'strict').resume({ session: { ...ref, subject: 'bob' } }, 0), false, 'a session of somebody else is none')
  const tolerant = sessionsOver(inner, 'tolerant')
  t.equal(await tolerant.resume({ session: ref }, 0), true)
  t.equal(tolerant.resume({ session: ref }, 0), true, 'a generation that was seen is not marked again')
})

t.test('revokeAll ends all but one, and says which', async (t) => {
  stopClock(t)
  const sessions = sessionsOver(memoryStore(), 'strict')
  const drafts = [1, 2, 3].map(() => sessions.draft('alice', {}))
  const bobs = sessions.draft('bob', {})
  for (const draft of [...drafts, bobs]) await sessions.open(draft)
  const [kept, ...others] = drafts.map(({ id }) => id)
  t.same(new Set(await sessions.revokeAll('alice', 'called', kept)), new Set(others))
  t.same((await sessions.list('alice')).map(({ id }) => id), [kept])
  t.equal((await sessions.list('bob')).length, 1)
  t.same(await sessions.revokeAll('nobody', 'called'), [])
})

t.test('two logins at once beyond the limit leave exactly the limit, in every order', async (t) => {
  const clock = stopClock(t)
  const ways = await explore(memoryStore, (store, inner) => {
    const drafts = ['a', 'b'].map((actor) => {
      const sessions = sessionsOver(store.as(actor), 'strict', silent, 1)
      const draft = sessions.draft('alice', {})
      clock.advance(0.001)
      sessions.open(draft).catch((error: unknown) => t.fail(String(error)))
      return draft
    })
    return (trace) => {
      const left = (inner.list('alice') as SessionRecord[]).length
      if (left > 1) t.fail(`${left} of ${drafts.length} left: ${JSON.stringify(trace)}`)
    }
  })
  t.ok(ways > 10, `${ways} ways`)
})

t.test('the explorer finds the fork of a store that compares nothing', async (t) => {
  const clock = stopClock(t)
  let wrong = 0
  await explore(() => {
    const inner = memoryStore()
    inner.write(record(clock.now()), 0)
    return { ...inner, write: (next) => inner.write(next, (inner.read([next]) as SessionRecord[])[0]?.revision ?? 0) }
  }, (store: StepStore) => {
    const rotated: number[] = []
    const emit: Emit = (name, event) => { if (name === 'refresh.succeeded' && 'rotated' in event && event.rotated) rotated.push(1) }
    for (const actor of ['a', 'b']) rotate(sessionsOver(store.as(actor), 'strict', emit), 0).catch((error: unknown) => t.fail(String(error)))
    return () => { if (rotated.length > 1) wrong++ }
  })
  t.ok(wrong > 0, `${wrong} ways rotate twice`)
})

/** A store that forgets nothing, lists the newest first, and others' too: an interface says what a store may do, not what it does. */
function fullStore (): RevocationStore & { records: Map<string, SessionRecord>, calls: string[] } {
  const records = new Map<string, SessionRecord>()
  const calls: string[] = []
  return {
    records,
    calls,
    read (refs) {
      calls.push('read')
      return refs.flatMap(({ id }) => records.get(id) ?? [])
    },
    write (next, expected) {
      calls.push('write')
      if ((records.get(next.id)?.revision ?? 0) !== expected) return false
      records.set(next.id, next)
      return true
    },
    list () {
      calls.push('list')
      return [...records.values()].reverse()
    }
  }
}

t.test('a session begins now, and ends by the absolute timeout, or by the idle one if that is nearer', async (t) => {
  const time = stopClock(t).now()
  const sessions = sessionsOver(memoryStore(), 'strict')
  const { id, ...rest } = sessions.draft('alice', { name: 'phone' } as never)
  t.match(id, /^[\w-]{22}$/)
  t.strictSame(rest, {
    subject: 'alice',
    revision: 1,
    expiresAt: time + 2_592_000,
    revoked: false,
    state: { generation: 0, rotatedAt: time, seen: false, authTime: time, createdAt: time, idleExpiresAt: time + 604_800, device: { name: 'phone' } }
  })
  t.match(sessions.draftOnce('alice', 'reset', 600), { expiresAt: time + 600, state: { idleExpiresAt: time + 600, device: {}, purpose: 'reset' } })

  const brief = createSessions(memoryStore(), liveSessions(memoryStore(), LIVE, timing), { idleTimeout: 60, absoluteTimeout: 30, maxPerSubject: 1, intervals: INTERVALS.strict }, silent)
  t.match(brief.draft('alice', {}), { expiresAt: time + 30, state: { idleExpiresAt: time + 30 } })
})

t.test('a refresh moves the idle timeout on, but never past the absolute one', async (t) => {
  const clock = stopClock(t)
  const store = fullStore()
  store.write(record(clock.now()), 0)
  const sessions = sessionsOver(store, 'strict')
  t.same(await rotate(sessions, 0), { generation: 1 })
  t.match(store.records.get(ref.id), { revision: 2, state: { generation: 1, rotatedAt: clock.now(), seen: false, idleExpiresAt: clock.now() + 604_800 } })
  clock.advance(500_000)
  t.same(await rotate(sessions, 1), { generation: 2 })
  t.match(store.records.get(ref.id), { revision: 3, state: { idleExpiresAt: clock.now() + 500_000 } })
})

t.test('what is ended stays in the store as ended, and since when', async (t) => {
  const clock = stopClock(t)
  const store = fullStore()
  const told: unknown[] = []
  const sessions = sessionsOver(store, 'strict', (...event) => { told.push(event) })
  store.write(record(clock.now()), 0)
  t.equal(await sessions.revoke(ref, 'logout'), true)
  t.match(store.records.get(ref.id), { revoked: true, revision: 2, state: { revokedAt: clock.now() } })
  t.same(told, [['session.revoked', { ...ref, reason: 'logout' }]])
  t.equal(await sessions.revoke(ref, 'logout'), false)
  t.equal(told.length, 1, 'nobody is told twice')

  const once = sessions.draftOnce('alice', 'reset', 600)
  await sessions.open(once)
  t.equal(await sessions.consume(once), true)
  t.match(store.records.get(once.id), { revoked: true, revision: 2, state: { revokedAt: clock.now() } })
  t.equal(await sessions.consume(once), false)
})

t.test('a revocation whose answer was lost has succeeded when somebody else ended the session meanwhile', async (t) => {
  const clock = stopClock(t)
  const store = fullStore()
  store.write(record(clock.now()), 0)
  const overtaken = boundedStore({
    ...store,
    write (next, expected) {
      store.write({ ...next, state: { ...next.state, authTime: 1 } }, expected)
      throw new Error('lost')
    }
  }, 1)
  t.equal(await sessionsOver(overtaken, 'strict').revoke(ref, 'logout'), true)

  store.records.clear()
  store.write(record(clock.now()), 0)
  const refreshed = boundedStore({ ...store, write: () => { store.records.set(ref.id, { ...record(clock.now()), revision: 2 }); throw new Error('lost') } }, 1)
  await t.rejects(sessionsOver(refreshed, 'strict').revoke(ref, 'logout'), { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE' }, 'and not when somebody refreshed it')
})

t.test('the sessions of a subject are its live ones, oldest first, in whatever order the store has them', async (t) => {
  const clock = stopClock(t)
  const store = fullStore()
  const sessions = sessionsOver(store, 'strict')
  const drafts = []
  for (const subject of ['alice', 'bob', 'alice', 'alice']) {
    drafts.push(sessions.draft(subject, {}))
    await sessions.open(drafts.at(-1) as SessionRecord)
    clock.advance(1)
  }
  t.notOk(store.calls.includes('list'), 'without a limit nobody counts them')
  const [first, , second, third] = drafts as [SessionRecord, SessionRecord, SessionRecord, SessionRecord]
  t.same((await sessions.list('alice')).map(({ id }) => id), [first.id, second.id, third.id])
  t.same(await sessions.revokeAll('bob', 'called', first.id), [drafts[1]?.id])
  await sessions.revoke(second, 'logout')
  t.same((await sessions.list('alice')).map(({ id }) => id), [first.id, third.id])
})

t.test('a login too many ends the oldest, and as many as are too many', async (t) => {
  const clock = stopClock(t)
  const store = fullStore()
  const open = async (limit: number) => {
    const sessions = sessionsOver(store, 'strict', silent, limit)
    const draft = sessions.draft('alice', {})
    await sessions.open(draft)
    clock.advance(1)
    return draft.id
  }
  const ids: string[] = []
  for (let login = 0; login < 4; login++) ids.push(await open(4))
  const left = async () => (await sessionsOver(store, 'strict').list('alice')).map(({ id }) => id)
  t.same(await left(), ids)
  ids.push(await open(2))
  t.same(await left(), ids.slice(-2))
})

t.test('the limit neither counts one-time tokens nor ends them, and never the login that reached it', async (t) => {
  const clock = stopClock(t)
  const store = fullStore()
  const sessions = sessionsOver(store, 'strict', silent, 1)
  const first = sessions.draft('alice', {})
  await sessions.open(first)
  const tokens = [1, 2].map(() => sessions.draftOnce('alice', 'password-reset', 3600))
  for (const token of tokens) await sessions.open(token)
  t.same((await sessions.list('alice')).map(({ id }) => id), [first.id], 'issuing them ends no session')

  // On a node whose clock is behind, so that the new session is the oldest one.
  clock.advance(-5)
  const second = sessions.draft('alice', {})
  await sessions.open(second)
  t.same((await sessions.list('alice')).map(({ id }) => id), [second.id])
  for (const token of tokens) t.equal(await sessions.consume(token), true)
})

t.test('revokeAll ends any number of sessions, fifty at a time', async (t) => {
  stopClock(t)
  const store = fullStore()
  let [running, most] = [0, 0]
  const later = {
    ...store,
    async write (next: SessionRecord, expected: number) {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setImmediate(resolve))
      running--
      return await store.write(next, expected)
    }
  }
  const sessions = sessionsOver(later, 'strict')
  for (let login = 0; login < 120; login++) await sessions.open(sessions.draft('alice', {}))
  most = 0
  t.equal((await sessions.revokeAll('alice', 'called')).length, 120)
  t.equal(most, 50)
  t.same(await sessions.list('alice'), [])
})

t.test('the first use of an access token is written down once, and only where a lost answer can be recovered', async (t) => {
  const clock = stopClock(t)
  const open = (rotation: Rotation, state: Parameters<typeof record>[1]) => {
    const store = fullStore()
    store.write(record(clock.now(), state), 0)
    store.calls.length = 0
    return { store, sessions: sessionsOver(store, rotation) }
  }
  const isSeen = ({ records }: ReturnType<typeof fullStore>) => records.get(ref.id)?.state.seen

  const strict = open('strict', { generation: 3 })
  t.equal(await strict.sessions.resume({ session: ref }, 3), true)
  t.same(strict.store.calls, ['read'])

  const tolerant = open('tolerant', { generation: 3 })
  t.equal(await tolerant.sessions.resume({ session: ref }, 2), true)
  t.same(tolerant.store.calls, ['read'], 'a token of the generation before proves nothing')
  t.equal(await tolerant.sessions.resume({ session: ref }, 3), true)
  t.equal(isSeen(tolerant.store), true)
  t.equal(tolerant.store.records.get(ref.id)?.revision, 2)
  tolerant.store.calls.length = 0
  t.equal(await tolerant.sessions.resume({ session: ref }, 3), true)
  t.notOk(tolerant.store.calls.includes('write'))

  const ahead = open('tolerant', { generation: 3, seen: true })
  t.equal(await ahead.sessions.resume({ session: ref }, 4), true)
  t.same(ahead.store.calls, ['read', 'read'], 'a newer token than what is known is looked up, and marks no other generation')

  const gone = open('tolerant', { generation: 3 })
  await gone.sessions.revoke(ref, 'logout')
  t.equal(await gone.sessions.resume({ session: ref }, 3), false)

  const ending = open('tolerant', { generation: 3 })
  const { read } = ending.store
  let reads = 0
  ending.store.read = (refs) => ++reads === 1 ? read(refs) : []
  t.equal(await ending.sessions.resume({ session: ref }, 3), false, 'it ended between the look at it and the note')

  const moving = open('tolerant', { generation: 3 })
  const readNow = moving.store.read
  moving.store.read = (refs) => {
    const found = [...moving.store.records.values()]
    moving.store.read = readNow
    for (const old of found) moving.store.write(nextOf(old, { generation: 4 }), old.revision)
    return refs.length === 1 ? found : []
  }
  t.equal(await moving.sessions.resume({ session: ref }, 3), true)
  t.equal(isSeen(moving.store), false, 'and no other generation is marked when a refresh came between')
})

t.test('what a refresh was is told: a rotation, a repetition, a recovery, a regress, a reuse', async (t) => {
  const clock = stopClock(t)
  const tell = async (rotation: Rotation, state: Parameters<typeof record>[1], presented: number) => {
    const store = fullStore()
    store.write(record(clock.now(), state), 0)
    const told: [string, object][] = []
    await rotate(sessionsOver(store, rotation, (name, event) => { told.push([name, event]) }), presented)
    return { told, seen: store.records.get(ref.id)?.state.seen, writes: store.calls.filter((call) => call === 'write').length - 1 }
  }
  const succeeded = (generation: number, rotated: boolean) => ['refresh.succeeded', { ...ref, generation, rotated }]

  t.same(await tell('strict', { generation: 2 }, 2), { told: [succeeded(3, true)], seen: false, writes: 1 })
  t.same(await tell('tolerant', { generation: 2, age: 5 }, 2), { told: [succeeded(2, false)], seen: true, writes: 1 })
  t.same(await tell('tolerant', { generation: 2, age: 5, seen: true }, 2), { told: [succeeded(2, false)], seen: true, writes: 0 })
  t.same(await tell('tolerant', { generation: 2, age: 5, seen: true }, 1), { told: [succeeded(2, false)], seen: true, writes: 0 })
  t.same(await tell('tolerant', { generation: 2, age: 50 }, 1), { told: [['refresh.recovered', { ...ref, generation: 2 }], succeeded(2, false)], seen: false, writes: 0 })
  t.same(await tell('strict', { generation: 2 }, 4), { told: [['store.regressed', { ...ref, generation: 2, presented: 4 }], succeeded(5, true)], seen: false, writes: 1 })
  t.same(await tell('strict', { generation: 2 }, 1), {
    told: [['session.revoked', { ...ref, reason: 'reused' }], ['session.reused', { ...ref, generation: 2, presented: 1 }]], seen: false, writes: 1
  })
})

t.test('a user who is gone ends the session, and says so', async (t) => {
  const clock = stopClock(t)
  const store = fullStore()
  store.write(record(clock.now()), 0)
  const told: unknown[] = []
  const sessions = sessionsOver(store, 'strict', (...event) => { told.push(event) })
  t.same(await sessions.rotate(ref, 0, async () => undefined), { refused: 'user_gone' })
  t.same(told, [['session.revoked', { ...ref, reason: 'user_gone' }]])
  t.equal(store.records.get(ref.id)?.revoked, true)
  t.same(await rotate(sessions, 0), { refused: 'revoked' })
  t.same(await rotate(sessionsOver(fullStore(), 'strict'), 0), { refused: 'unknown' })
})

interface Race {
  name: string
  actors: Record<string, (sessions: Sessions) => Promise<Outcome>>
  faults: readonly Fault[]
  atLeast: number
}

const refresh = (sessions: Sessions) => rotate(sessions, 0)
const logout = (sessions: Sessions) => end(() => sessions.revoke(ref, 'logout'))
const everywhere = (sessions: Sessions) => end(() => sessions.revokeAll('alice', 'called'))
const resume = (sessions: Sessions) => end(async () => await sessions.resume({ session: ref }, 0))
const ALL: readonly Fault[] = ['none', 'rejected before', 'rejected after', 'crashed before', 'crashed after']

const races: Race[] = [
  { name: 'two refreshes', actors: { a: refresh, b: refresh }, faults: ALL, atLeast: 50 },
  { name: 'three refreshes', actors: { a: refresh, b: refresh, c: refresh }, faults: ['none'], atLeast: 150 },
  { name: 'three refreshes, one fault', actors: { a: refresh, b: refresh, c: refresh }, faults: ['none', 'rejected after', 'crashed after'], atLeast: 1000 },
  { name: 'refresh and logout', actors: { a: refresh, logout }, faults: ALL, atLeast: 30 },
  { name: 'refresh and revokeAll', actors: { a: refresh, logout: everywhere }, faults: ALL, atLeast: 30 },
  { name: 'two refreshes and logout', actors: { a: refresh, b: refresh, logout }, faults: ['none'], atLeast: 200 },
  { name: 'a refresh and a first use of its access token', actors: { a: refresh, use: resume }, faults: ALL, atLeast: 5 },
  { name: 'two first uses of an access token, and logout', actors: { use: resume, again: resume, logout }, faults: ALL, atLeast: 6 }
]

for (const rotation of ['strict', 'tolerant'] as const) {
  for (const { name, actors, faults, atLeast } of races) {
    t.test(`${name}, in every order (${rotation})`, async (t) => {
      const clock = stopClock(t)
      const ways = await explore(() => {
        const store = memoryStore()
        store.write(record(clock.now()), 0)
        return store
      }, (store, inner) => {
        const outcomes: Record<string, Outcome> = {}
        for (const [actor, act] of Object.entries(actors)) {
          act(sessionsOver(store.as(actor), rotation)).then((outcome) => { outcomes[actor] = outcome }, (error: unknown) => t.fail(String(error)))
        }
        return async (trace) => {
          const story = JSON.stringify({ trace, outcomes })
          const final = (inner.read([ref]) as SessionRecord[])[0]
          const isFaulty = trace.steps.some(({ fault }) => fault !== 'none')

          for (const [actor, outcome] of Object.entries(outcomes)) {
            if (outcome === undefined) continue
            // Never a fork: whoever is answered gets the one successor.
            if ('generation' in outcome && outcome.generation !== 1) t.fail(`a fork: ${story}`)
            if ('generation' in outcome && final !== undefined && final.state.generation < 1) t.fail(`tokens of a generation that is not stored: ${story}`)
            // An honest client whose request overlapped is never taken for a thief.
            if ('refused' in outcome && outcome.refused === 'reused' && overlap(trace, actor)) t.fail(`an honest client punished: ${story}`)
            if ('failed' in outcome && !isFaulty) t.fail(`failed without a fault: ${story}`)
          }

          // A logout that was acknowledged is one.
          const { logout } = outcomes
          if (logout !== undefined && 'revoked' in logout && final !== undefined) t.fail(`revoked, and alive: ${story}`)
          // Nothing else than logout and reuse ends the session.
          const wasEnded = 'logout' in actors || Object.values(outcomes).some((outcome) => outcome !== undefined && 'refused' in outcome)
          if (!wasEnded && !isFaulty && final === undefined) t.fail(`ended by nobody: ${story}`)
          // Reuse is what comes after the winner's write was acknowledged: strict detects all of it.
          const isReuse = Object.entries(outcomes).some(([actor]) => actor !== 'logout' && actor !== 'use' && !overlap(trace, actor))
          if (rotation === 'strict' && isReuse && !isFaulty && final !== undefined && !('use' in actors)) t.fail(`a reuse went unnoticed: ${story}`)

          // And afterwards: the old token has no future in strict, revoked stays revoked.
          const later = sessionsOver(inner, rotation)
          if (final === undefined) {
            const outcome = await rotate(later, 1)
            if (!outcome || !('refused' in outcome)) t.fail(`revived: ${story}`)
          } else if (final.state.generation === 1 && rotation === 'strict') {
            const outcome = await rotate(later, 0)
            if (!outcome || !('refused' in outcome) || (inner.read([ref]) as SessionRecord[]).length > 0) t.fail(`reuse undetected: ${story}`)
          }
        }
      }, faults)
      t.ok(ways >= atLeast, `${ways} ways`)
    })
  }
}

t.test('two reuses at once end the session, and tell of it once, in every order', async (t) => {
  const clock = stopClock(t)
  const ways = await explore(() => {
    const store = memoryStore()
    store.write(record(clock.now(), { generation: 2 }), 0)
    return store
  }, (store, inner) => {
    const told: string[] = []
    const outcomes: Outcome[] = []
    for (const actor of ['a', 'b']) {
      rotate(sessionsOver(store.as(actor), 'strict', (name) => { told.push(name) }), 0)
        .then((outcome) => { outcomes.push(outcome) }, (error: unknown) => t.fail(String(error)))
    }
    return (trace) => {
      const story = JSON.stringify({ trace, told, outcomes })
      if ((inner.read([ref]) as SessionRecord[]).length > 0) t.fail(`alive: ${story}`)
      if (!outcomes.every((outcome) => outcome !== undefined && 'refused' in outcome)) t.fail(`let in: ${story}`)
      if (told.filter((name) => name === 'session.reused').length !== 1) t.fail(`told wrong: ${story}`)
    }
  })
  t.ok(ways >= 10, `${ways} ways`)
})

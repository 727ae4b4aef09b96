import t from 'tap'
import { createSessions, type Sessions } from '../../lib/sessions'
import { timing } from '../../lib/clock'
import { liveSessions } from '../../lib/stores/live'
import { INTERVALS } from '../../lib/policy'
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

interface Race {
  name: string
  actors: Record<string, (sessions: Sessions) => Promise<Outcome>>
  faults: readonly Fault[]
  atLeast: number
}

const refresh = (sessions: Sessions) => rotate(sessions, 0)
const logout = (sessions: Sessions) => end(() => sessions.revoke(ref, 'logout'))
const everywhere = (sessions: Sessions) => end(() => sessions.revokeAll('alice', 'called'))
const resume = (sessions: Sessions) => end(async () => await sessions.resume(ref, 0))
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
  await t.rejects(over(deaf).sessions.open(draft), { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE' })

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
  const sessions = sessionsOver({ ...inner, write: () => false }, 'tolerant')
  t.same(await rotate(sessions, 0), { failed: 'FST_JWT_SESSION_STORE_UNAVAILABLE' })
  t.same(await end(() => sessions.revoke(ref, 'logout')), { failed: 'FST_JWT_SESSION_STORE_UNAVAILABLE' })
  await t.rejects(Promise.resolve(sessions.resume(ref, 0)), { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE' })
  await t.rejects(sessions.open(sessions.draft('alice', {})), { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE' })
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
  t.equal(sessionsOver(inner, 'strict').resume(ref, 0), true)
  t.equal(sessionsOver(inner, 'strict').resume({ ...ref, subject: 'bob' }, 0), false, 'a session of somebody else is none')
  const tolerant = sessionsOver(inner, 'tolerant')
  t.equal(await tolerant.resume(ref, 0), true)
  t.equal(tolerant.resume(ref, 0), true, 'a generation that was seen is not marked again')
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

import t from 'tap'
import { faultyStore, type Fault, type FaultPlan } from '../lib/conformance'
import { timing } from '../lib/clock'
import { INTERVALS } from '../lib/policy'
import { createSessions, type Sessions } from '../lib/sessions'
import { boundedStore } from '../lib/stores/bounded'
import { liveSessions } from '../lib/stores/live'
import { memoryStore } from '../lib/stores/memory'
import { stopClock } from './support/clock'
import { numbers } from './support/numbers'
import { newStorage, sharedStore, type Storage } from './support/shared-store'
import type { RevocationStore, SessionRecord } from '../types'

const NODES = 3
const LIVE = { lease: 1, maxAge: 60, maxEntries: 1000, burial: 900, deadline: 1 }
const ANY: readonly Fault[] = ['rejected before', 'rejected after', { beforeMs: 1 }, { afterMs: 1 }, { beforeMs: 1, afterMs: 1 }]

/** Faults at random, in one call out of three. */
function storm (seed: number, faults: readonly Fault[]): FaultPlan {
  const next = numbers(seed)
  return () => next() < 1 / 3 ? faults[Math.floor(next() * faults.length)] : undefined
}

/** Nodes over one storage, each behind its own faults. `written` gets the revision of every write that went through. */
function nodesOver (storage: Storage, rotation: keyof typeof INTERVALS, plan: (node: number) => FaultPlan, written: number[] = []): Sessions[] {
  return Array.from({ length: NODES }, (_, node) => {
    const inner = sharedStore(storage)
    const logged: RevocationStore = {
      ...inner,
      async write (record, expected) {
        const isWritten = await inner.write(record, expected)
        if (isWritten) written.push(record.revision)
        return isWritten
      }
    }
    const store = boundedStore(faultyStore(logged, plan(node)), 1)
    const settings = { idleTimeout: 604_800, absoluteTimeout: 2_592_000, maxPerSubject: Infinity, intervals: INTERVALS[rotation] }
    // What is handed on has no `watch`, so that each request reads.
    return createSessions(store, liveSessions({ read: store.read }, LIVE, timing), settings, () => {})
  })
}

type Answer = { generation: number } | { refused: string } | 'failed'

async function refresh (node: Sessions | undefined, ref: SessionRecord, presented: number): Promise<Answer> {
  try {
    const renewal = await (node as Sessions).rotate(ref, presented, async ({ state: { generation } }) => ({ generation }))
    return 'prepared' in renewal ? renewal.prepared : renewal
  } catch (error) {
    if ((error as { code?: string }).code !== 'FST_JWT_SESSION_STORE_UNAVAILABLE') throw error
    return 'failed'
  }
}

/** A session that was opened without trouble. */
async function openSession (storage: Storage): Promise<SessionRecord> {
  const [node] = nodesOver(storage, 'strict', () => () => undefined) as [Sessions]
  const draft = node.draft('alice', {})
  await node.open(draft)
  return draft
}

t.test('a client that tries again after every failure is never logged out (tolerant)', async (t) => {
  const clock = stopClock(t)
  for (let seed = 0; seed < 40; seed++) {
    const storage = newStorage()
    const session = await openSession(storage)
    const nodes = nodesOver(storage, 'tolerant', (node) => storm(seed * NODES + node, ANY))
    let generation = 0
    clock.advance(20)
    for (let tries = 0, done = 0; done < 8; tries++) {
      const answer = await refresh(nodes[tries % NODES], session, generation)
      if (answer === 'failed') continue
      if (!('generation' in answer)) return t.fail(`seed ${seed}: refused as ${answer.refused} at generation ${generation}`)
      if (answer.generation !== generation + 1) return t.fail(`seed ${seed}: generation ${answer.generation} after ${generation}`)
      generation = answer.generation
      clock.advance(20)
      done++
    }
  }
})

t.test('a write whose answer was lost is no failure, as long as it can be looked at (strict)', async (t) => {
  const storage = newStorage()
  const session = await openSession(storage)
  const nodes = nodesOver(storage, 'strict', () => ({ name }) => name === 'write' ? 'rejected after' : undefined)
  for (let generation = 0; generation < 5; generation++) {
    t.same(await refresh(nodes[generation % NODES], session, generation), { generation: generation + 1 })
  }
  t.equal(await nodes[0]?.revoke(session, 'logout'), true)
  t.equal(await nodes[1]?.resume({ session }, 5), false)
})

for (const faults of [ANY, [...ANY, 'stale' as const]]) {
  t.test(`refreshes at once never fork a session (${faults.includes('stale') ? 'reads may be stale' : 'reads are true'})`, async (t) => {
    const clock = stopClock(t)
    for (let seed = 0; seed < 30; seed++) {
      const storage = newStorage()
      const session = await openSession(storage)
      const written: number[] = []
      const nodes = nodesOver(storage, 'tolerant', (node) => storm(seed * NODES + node, faults), written)
      for (let generation = 0; generation < 3; generation++) {
        clock.advance(20)
        const answers = await Promise.all(Array.from({ length: 8 }, (_, index) => refresh(nodes[index % NODES], session, generation)))
        const renewed = answers.flatMap((answer) => typeof answer === 'object' && 'generation' in answer ? [answer.generation] : [])
        if (renewed.some((given) => given !== generation + 1)) return t.fail(`seed ${seed}: generations ${renewed} after ${generation}`)
        const stored = storage.records.get(session.id)?.state.generation
        if (stored !== generation && stored !== generation + 1) return t.fail(`seed ${seed}: generation ${stored} stored after ${generation}`)
        if (new Set(written).size < written.length) return t.fail(`seed ${seed}: revisions ${written} were written`)
        if (stored === generation) break
      }
    }
  })
}

t.test('a revoked session lets nobody in, whatever fails', async (t) => {
  for (let seed = 0; seed < 40; seed++) {
    for (const rotation of ['strict', 'tolerant'] as const) {
      const storage = newStorage()
      const session = await openSession(storage)
      const nodes = nodesOver(storage, rotation, (node) => storm(seed * NODES + node, ANY))
      // Refreshes are under way when the session ends.
      const before = Promise.all(nodes.map((node) => refresh(node, session, 0)))
      const isRevoked = await nodes[seed % NODES]?.revoke(session, 'logout').then(() => true, () => false)
      const after = isRevoked
        ? await Promise.all(nodes.flatMap((node) => [
          refresh(node, session, 0),
          refresh(node, session, 1),
          (async () => await node.resume({ session }, 0))().catch(() => 'failed')
        ]))
        : []
      for (const answer of after) {
        if (answer === true || (typeof answer === 'object' && 'generation' in answer)) return t.fail(`seed ${seed}: ${JSON.stringify(answer)} after the revocation`)
      }
      await before
      if (isRevoked && storage.records.get(session.id)?.revoked !== true) return t.fail(`seed ${seed}: live after the revocation`)
    }
  }
})

t.test('a fault does what it says', async (t) => {
  const record = nodesOver(newStorage(), 'strict', () => () => undefined)[0]?.draft('alice', {}) as SessionRecord
  const next = { ...record, revision: 2 }
  const over = (store: RevocationStore, fault: Fault) => {
    let isOn = false
    const faulty = faultyStore(store, () => isOn ? fault : undefined)
    return { faulty, on () { isOn = true }, off () { isOn = false } }
  }

  for (const [fault, isApplied] of [['rejected before', false], ['rejected after', true]] as const) {
    const { faulty, on, off } = over(memoryStore(), fault)
    on()
    await t.rejects(async () => await faulty.write(record, 0), fault)
    await t.rejects(async () => await faulty.read([record]), fault)
    off()
    t.equal((await faulty.read([record])).length, isApplied ? 1 : 0, fault)
  }

  const { faulty, on } = over(memoryStore(), 'stale')
  on()
  t.same(faulty.list('alice'), [])
  t.equal(faulty.write(record, 0), true)
  t.same(faulty.read([record]), [], 'a creation is not read')
  t.same(faulty.list('alice'), [], 'nor listed')
  t.equal(faulty.write(next, 1), true)
  t.equal(faulty.write(next, 1), false, 'the conditional write knows better')
  t.same(faulty.read([record]), [record])
  t.same(faulty.list('alice'), [record])
  t.same(faulty.list('bob'), [])
  t.same(faulty.read([{ id: 'another', subject: 'alice' }]), [])
  t.equal(faulty.write({ ...next, revision: 3, revoked: true }, 2), true)
  t.same(faulty.read([record]), [next], 'a revocation is not seen')

  const never = over(memoryStore(), { beforeMs: Infinity })
  never.on()
  await t.rejects(async () => await boundedStore(never.faulty, 0.01).read([record]), { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE' })
})

t.test('the plan is told which call it is', async (t) => {
  const calls: unknown[] = []
  const store = faultyStore(sharedStore(newStorage()), ({ name, index, ids }) => { calls.push([name, index, ids]); return undefined })
  await store.read([{ id: 'a', subject: 'alice' }, { id: 'b', subject: 'alice' }])
  await store.read([])
  await store.list('alice')
  await store.prune?.(0, 1)
  await store.close?.()
  t.same(calls, [['read', 0, ['a', 'b']], ['read', 1, []], ['list', 0, []], ['prune', 0, []]])
})

t.test('announcements are lost, late, or as they were', async (t) => {
  const storage = newStorage()
  const heard: string[] = []
  const watched = (fault: Fault | undefined, title: string) => new Promise<() => void>((resolve) => {
    const { close } = faultyStore(sharedStore(storage), ({ name }) => name === 'ping' ? undefined : fault).watch?.({
      ready: () => resolve(close),
      lost: () => heard.push(`${title} lost`),
      revoked: () => heard.push(title),
      changed: () => heard.push(`${title} changed`)
    }) as { close (): void }
  })
  const closes = await Promise.all([
    watched(undefined, 'sound'), watched('lost', 'deaf'), watched({ beforeMs: 5 }, 'late'), watched({ beforeMs: Infinity }, 'never'), watched('stale', 'other'), watched({ afterMs: 5 }, 'later')
  ])
  for (const on of storage.watchers) {
    on.revoked(['a'])
    on.changed()
    on.lost()
  }
  t.same(heard, ['sound', 'sound changed', 'sound lost', 'deaf lost', 'late lost', 'never lost', 'other', 'other changed', 'other lost', 'later lost'])
  heard.length = 0
  await new Promise((resolve) => setTimeout(resolve, 30))
  t.same(heard.sort(), ['late', 'late changed', 'later', 'later changed'])
  for (const close of closes) close()
  t.equal(storage.watchers.size, 0)
})

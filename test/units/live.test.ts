import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import ts from 'typescript'
import { createSeats } from '../../lib/seats'
import { liveSessions, type LiveSettings } from '../../lib/stores/live'
import type { Rotation, Seated } from '../../lib/seats'
import { assumedWatch } from '../../lib/stores/assumed'
import { VirtualTime } from '../support/virtual-time'
import type { Finding, Schedules } from '../support/live-worker'
import type { RevocationStore, SessionRecord, SessionRef, WatchHandlers } from '../../types'

const SCHEDULES = Number(process.env.LIVE_SCHEDULES ?? 10_000)
const MUTANT_SCHEDULES = 20_000

const worker = new Worker(join(__dirname, '../support/live-worker.ts'))
t.teardown(async () => await worker.terminate())

async function simulateAll (schedules: Schedules): Promise<Finding | undefined> {
  worker.postMessage(schedules)
  const [finding] = await once(worker, 'message') as [Finding | undefined]
  return finding
}

t.test(`in ${SCHEDULES} random schedules nothing revoked is let in`, async (t) => {
  t.equal(await simulateAll({ first: 1, last: SCHEDULES }), undefined)
})

/** Each guard, taken out by hand. */
const mutants: [name: string, guard: string, without: string][] = [
  ['reads under way are fenced by notices', 'for (const waiter of flight.get(id) ?? []) waiter.isDirty = true', ''],
  ['one subscription has to span the read', 'spanning !== null && spanning === subscription', 'subscription !== null'],
  ['a silent subscription is trusted for a lease only', 'subscription !== null && steady < leaseEnd && now < leaseWallEnd', 'subscription !== null'],
  ['the lease counts from the sending of the ping', 'leaseEnd = sent + lease\n      leaseWallEnd = sentWall + lease', 'leaseEnd = timing.steady() + lease\n      leaseWallEnd = timing.now() + lease'],
  ['a lost subscription takes its memory along', 'subscription = null\n      hot.clear()\n    },\n    revoked', '},\n    revoked'],
  ['a notice takes the session out of memory', 'hot.leave(id)\n    soil(id)\n    dead', 'soil(id)\n    dead'],
  ['a new subscription begins with nothing remembered', 'hot.clear()\n      subscription = link', 'subscription = link']
]

for (const [name, guard, without] of mutants) {
  t.test(`without the guard it fails: ${name}`, async (t) => {
    const path = join(__dirname, '../../lib/stores/live.ts')
    const source = readFileSync(path, 'utf8')
    t.equal(source.split(guard).length, 2, 'the guard is there, once')
    const { outputText: code } = ts.transpileModule(source.replace(guard, without), { compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 } })
    t.match(await simulateAll({ first: 1, last: MUTANT_SCHEDULES, code }), { violation: /answered live/ })
  })
}

const settings: LiveSettings = { lease: 1.5, maxAge: 60, maxEntries: 3, burial: 900, deadline: 2 }
const alice = (id: string): SessionRef => ({ id, subject: 'alice' })

/** Sessions got as far as their place among these. */
const NAMES = ['a', 'b', 'c', 'd', 'e']
const nameOf = (rotation: Rotation | undefined): string | undefined => rotation && NAMES[rotation.generation]

function setUp (change: Partial<RevocationStore> = {}, limits: Partial<LiveSettings> = {}) {
  const time = new VirtualTime()
  const records = new Map<string, SessionRecord>()
  const reads: string[][] = []
  let on = null as WatchHandlers | null
  let resets = 0
  const link = { ping: async () => {}, reset () { resets++ } }
  for (const [generation, id] of NAMES.entries()) {
    records.set(id, {
      ...alice(id),
      revision: 1,
      expiresAt: time.now() + 1000,
      revoked: false,
      state: { generation, rotatedAt: 0, seen: false, authTime: 0, createdAt: 0, idleExpiresAt: time.now() + 500, device: {} }
    })
  }
  const store: Pick<RevocationStore, 'read' | 'watch'> = {
    read: async (refs) => {
      reads.push(refs.map(({ id }) => id))
      return refs.flatMap(({ id }) => records.get(id) ?? [])
    },
    watch (handlers) {
      on = handlers
      return { close () {} }
    },
    ...change
  }
  const live = liveSessions(store, { ...settings, ...limits }, time)
  return {
    live,
    time,
    records,
    reads,
    link,
    resets: () => resets,
    on: () => on as WatchHandlers,
    async find (id: string, subject = 'alice') {
      const answer = Promise.resolve(live.find({ session: { id, subject } }))
      await time.run(0.01)
      return nameOf(await answer)
    }
  }
}

t.test('a full memory gives up a sixteenth, the oldest first, so that the next search for the oldest is not soon', async (t) => {
  const { live, records, find, on, link, time } = setUp({}, { maxEntries: 160 })
  on().ready(link)
  await time.run(0.01)
  const model = records.get('a') as SessionRecord
  for (let number = 0; number < 161; number++) {
    records.set(`s${number}`, { ...model, id: `s${number}`, state: { ...model.state, generation: number } })
    if (number === 160) t.equal(live.memory().liveSessions, 160)
    await find(`s${number}`)
  }
  t.equal(live.memory().liveSessions, 150)
  t.match(live.find({ session: alice('s11') }), { generation: 11 }, 'the oldest that is left')
  t.match(live.find({ session: alice('s160') }), { generation: 160 }, 'and the newest')
})

t.test('a warm request makes no store call and no promise', async (t) => {
  const { live, find, reads, on, link, time } = setUp()
  on().ready(link)
  await time.run(0.01)
  t.equal(await find('a'), 'a')
  t.equal(reads.length, 1)
  for (let count = 0; count < 100; count++) t.equal(nameOf(live.find({ session: alice('a') }) as Rotation), 'a')
  t.equal(reads.length, 1)
  t.equal(await find('a', 'bob'), undefined, 'the session of another subject is none')
  await time.run(59)
  t.equal(nameOf(live.find({ session: alice('a') }) as Rotation), 'a')
  await time.run(1)
  t.equal(await find('a'), 'a')
  t.equal(reads.length, 3, 'after maxAge the store is asked again')
})

t.test('a session that was revoked while its read waited to be sent is not remembered, even if the store does not know', async (t) => {
  const { live, on, link, time } = setUp()
  on().ready(link)
  await time.run(0.01)
  const pending = Promise.resolve(live.find({ session: alice('a') }))
  live.bury('a')
  await time.run(0.01)
  t.equal(nameOf(await pending), 'a', 'who asked before was answered by the store')
  t.equal(live.memory().liveSessions, 0)
  t.equal(live.find({ session: alice('a') }), undefined)
})

t.test('a seat once found is used, and never for another subject', async (t) => {
  const { live, find, reads, on, link, time } = setUp()
  on().ready(link)
  await time.run(0.01)
  await find('a')
  const ask = async (seated: Seated): Promise<string | undefined> => {
    const answer = Promise.resolve(live.find(seated))
    await time.run(0.01)
    return nameOf(await answer)
  }
  const mine: Seated = { session: alice('a') }
  const others: Seated = { session: { id: 'a', subject: 'bob' } }
  t.equal(await ask(mine), 'a')
  t.match(mine.seat, { record: { id: 'a' } })
  t.equal(await ask(others), undefined)
  t.equal(others.seat, undefined)
  t.equal(reads.length, 2, 'of another subject the store was asked')
  live.forget('a')
  t.equal(await ask(mine), 'a')
  t.equal(reads.length, 3, 'an empty seat is none')
})

t.test('what is remembered ends with its session, in a seat that a token knows as well', async (t) => {
  const { live, reads, records, on, link, time } = setUp({}, { maxAge: 10_000 })
  on().ready(link)
  await time.run(0.01)
  const seats = createSeats(10)
  seats.take(records.get('a') as SessionRecord, Infinity)
  const within = liveSessions({ read: () => [...records.values()], own: { get: seats.get, isItself: () => true } }, settings, time)
  const [remote, own]: [Seated, Seated] = [{ session: alice('a') }, { session: alice('a') }]
  const ask = async () => {
    const answers = [Promise.resolve(live.find(remote)), Promise.resolve(within.find(own))]
    await time.run(0.01)
    return (await Promise.all(answers)).map(nameOf)
  }
  t.same(await ask(), ['a', 'a'])
  await time.run(498)
  t.same([await ask(), reads.length], [['a', 'a'], 1])
  await time.run(2)
  t.same(await ask(), [undefined, undefined])
  t.same([remote, own].map(({ seat }) => seat?.record?.id), ['a', 'a'], 'though the seats are still taken')
})

t.test('a session whose seat is known is not looked for, until it is over, to the instant', async (t) => {
  const { records } = setUp()
  const seats = createSeats(10)
  seats.take(records.get('a') as SessionRecord, Infinity)
  let looks = 0
  const own = { get: (id: string) => { looks++; return seats.get(id) }, isItself: () => true }
  const live = liveSessions({ read: () => [], own }, settings, new VirtualTime())
  const seated: Seated = { session: alice('a') }
  const { ends } = seats.get('a') as { ends: number }
  for (let count = 0; count < 10; count++) t.equal(live.find(seated, ends - 0.001), seats.get('a'))
  t.equal(looks, 1)
  t.equal(live.find(seated, ends), undefined)
})

t.test('a read that is under way when a revocation is about to be written is not trusted', async (t) => {
  let reads = 0
  const context = setUp({
    read: async () => {
      const found = [...context.records.values()]
      reads++
      await new Promise<void>((resolve) => context.time.after(0.5, resolve))
      return found
    }
  })
  const { live, time, records } = context
  const pending = Promise.resolve(live.find({ session: alice('a') }))
  await time.run(0.1)
  live.fence('a')
  records.delete('a')
  await time.run(1.5)
  t.same([await pending, reads], [undefined, 2])
})

t.test('what was revoked is refused at once and for as long as its tokens could live', async (t) => {
  const { live, find, reads, on, link, time } = setUp()
  on().ready(link)
  await time.run(0.01)
  await find('a')
  on().revoked(['a'])
  t.equal(live.find({ session: alice('a') }), undefined)
  live.bury('b')
  t.equal(live.find({ session: alice('b') }), undefined)
  t.equal(reads.length, 1)
  for (const id of ['c', 'd', 'e']) live.bury(id)
  t.equal(await find('a'), 'a', 'the oldest burial is forgotten when there are too many: the store knows')
})

t.test('forget and changed ask the store again', async (t) => {
  const { live, find, reads, on, link, time } = setUp()
  on().ready(link)
  await time.run(0.01)
  await find('a')
  live.forget('a')
  await find('a')
  live.fence('a')
  await find('a')
  on().changed()
  await find('a')
  t.equal(reads.length, 4)
})

t.test('what expires is not remembered beyond it', async (t) => {
  const { find, records, on, link, time } = setUp()
  on().ready(link)
  await time.run(0.01)
  await find('a')
  const { state, ...rest } = records.get('a') as SessionRecord
  await time.run(400)
  await find('a')
  records.set('a', { ...rest, state: { ...state, idleExpiresAt: state.idleExpiresAt + 300 } })
  await time.run(101)
  t.equal(await find('a'), 'a', 'an idle end that another node moved is looked up')
  await time.run(300)
  t.equal(await find('a'), undefined)
})

t.test('memory is bounded', async (t) => {
  const { find, reads, on, link, time } = setUp()
  on().ready(link)
  await time.run(0.01)
  for (const id of ['a', 'b', 'c', 'd', 'a']) await find(id)
  t.equal(reads.length, 5)
  await find('d')
  t.equal(reads.length, 5)
})

t.test('it tells how much it remembers, and whether that is trusted', async (t) => {
  const { live, find, on, link, time } = setUp()
  t.same(live.memory(), { liveSessions: 0, isTrusted: false }, 'before there is a subscription')
  on().ready(link)
  await time.run(0.01)
  for (const id of ['a', 'b']) await find(id)
  t.same(live.memory(), { liveSessions: 2, isTrusted: true })
  on().revoked(['a'])
  t.same(live.memory(), { liveSessions: 1, isTrusted: true })
  on().lost()
  t.same(live.memory(), { liveSessions: 0, isTrusted: false })
  t.same(liveSessions({ read: () => [] }, settings, time).memory(), { liveSessions: 0, isTrusted: null }, 'of a store that tells of no revocations')
})

t.test('a subscription that is silent beyond its lease is told to be trusted no longer', async (t) => {
  const { live, on, link, time } = setUp()
  let isSilent = false
  on().ready({ ...link, ping: () => isSilent ? new Promise(() => {}) : Promise.resolve() })
  await time.run(10)
  t.equal(live.memory().isTrusted, true)
  isSilent = true
  await time.run(2)
  t.equal(live.memory().isTrusted, false)
})

t.test('without a subscription every request reads the store, together with those of its turn', async (t) => {
  const { live, time, reads, find } = setUp()
  const answers = Promise.all(['a', 'b', 'x', 'a'].map(async (id) => nameOf(await live.find({ session: alice(id) }))))
  await time.run(0.01)
  t.same(await answers, ['a', 'b', undefined, 'a'])
  t.same(reads, [['a', 'b', 'x', 'a']])
  await find('a')
  t.equal(reads.length, 2)
})

t.test('a thousand sessions are read in portions', async (t) => {
  const { live, time, reads } = setUp()
  const answers = Promise.all(Array.from({ length: 1001 }, (_, count) => Promise.resolve(live.find({ session: alice(`x${count}`) }))))
  await time.run(0.01)
  t.ok((await answers).every((answer) => answer === undefined))
  t.same(reads.map((read) => read.length), [500, 500, 1])
})

t.test('a store that stands still is not asked for more and more', async (t) => {
  let reads = 0
  const { live, time } = setUp({ read: async () => { reads++; return await new Promise<never>((_resolve, reject) => time.after(4, () => reject(new Error('late')))) } })
  const failed: string[] = []
  for (let turn = 0; turn < 100; turn++) {
    Promise.resolve(live.find({ session: alice('a') })).catch((error: Error & { code?: string }) => { failed.push(error.code ?? error.message) })
    await time.run(0.01)
  }
  t.equal(reads, 8)
  await time.run(1)
  // Everything that waited is late by now.
  for (let turn = 0; turn < 8; turn++) await time.run(1.5)
  t.equal(failed.length, 100, 'everybody hears of it')
  t.equal(failed.filter((code) => code === 'FST_JWT_SESSION_STORE_UNAVAILABLE').length, 92, 'who waited for too long is not even asked about')
  t.equal(reads, 8)
})

t.test('what is revoked here while the very first read is under way is not let in', async (t) => {
  const { records } = setUp()
  const time = new VirtualTime()
  const live = liveSessions({ read: async (refs) => { const found = refs.flatMap(({ id }) => records.get(id) ?? []); await new Promise<void>((resolve) => time.after(1, resolve)); return found } }, settings, time)
  const answer = Promise.resolve(live.find({ session: alice('a') }))
  live.bury('a')
  await time.run(2)
  t.equal(await answer, undefined)
})

t.test('after its end a watch is not listened to any more, and nothing is trusted', async (t) => {
  const { live, on, link, time, find, reads } = setUp()
  on().ready(link)
  await time.run(0.01)
  t.equal(live.memory().isTrusted, true)
  await live.close()
  t.equal(live.memory().isTrusted, false)
  on().ready({ ...link, ping: async () => { t.fail('pinged') } })
  await time.run(5)
  await find('a')
  await find('a')
  t.equal(reads.length, 2)
})

t.test('a store that fails fails those who asked, and nobody later', async (t) => {
  let isDown = true
  const { live, time, records } = setUp({ read: async (refs) => { if (isDown) throw new Error('down'); return refs.flatMap(({ id }) => records.get(id) ?? []) } })
  const failing = t.rejects(Promise.resolve(live.find({ session: alice('a') })), { message: 'down' })
  await time.run(0.01)
  await failing
  isDown = false
  const answer = Promise.resolve(live.find({ session: alice('a') }))
  await time.run(0.01)
  t.equal(nameOf(await answer), 'a')
})

t.test('a read that notices keep making worthless is given up', async (t) => {
  const context = setUp({ read: async () => { context.on().changed(); await new Promise<void>((resolve) => context.time.after(0.5, resolve)); return [...context.records.values()] } })
  const { live, time } = context
  const failing = t.rejects(Promise.resolve(live.find({ session: alice('a') })), { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE', cause: { message: /too long/ } })
  await time.run(5)
  await failing
})

t.test('a mute link, and one whose ping fails, is reset', async (t) => {
  const { time, on, link, resets, live } = setUp()
  on().ready({ ...link, ping: () => new Promise(() => {}) })
  await time.run(1.6)
  t.equal(resets(), 1)
  on().lost()
  on().ready({ ...link, ping: async () => { throw new Error('closed') } })
  await time.run(0.01)
  t.equal(resets(), 2)
  on().lost()
  on().lost()
  await live.close()
  await time.run(10)
  t.equal(resets(), 2)
})

t.test('a ping that answers too late, or for a link that is gone, gives no lease', async (t) => {
  const { time, on, link, find, reads } = setUp()
  const answers: ((error?: Error) => void)[] = []
  const slow = { ...link, ping: () => new Promise<void>((resolve, reject) => { answers.push((error) => error ? reject(error) : resolve()) }) }
  on().ready(slow)
  on().lost()
  on().ready({ ...slow })
  on().lost()
  answers[0]?.()
  answers[1]?.(new Error('closed'))
  await time.run(0.01)
  on().ready({ ...slow })
  await time.run(1.6)
  answers[2]?.()
  await find('a')
  await find('a')
  t.equal(reads.length, 2, 'nothing is trusted')
})

t.test('a store that answers at once is asked every time', async (t) => {
  const { records } = setUp()
  const time = new VirtualTime()
  let reads = 0
  const live = liveSessions({ read: (refs) => { reads++; return refs.flatMap(({ id }) => records.get(id) ?? []) } }, settings, time)
  t.equal(nameOf(live.find({ session: alice('a') }) as Rotation), 'a')
  t.equal(live.find({ session: alice('x') }), undefined)
  t.equal(reads, 2)
  await live.close()
})

t.test('a store without watch that answers later is read in portions from the second request on', async (t) => {
  const { records } = setUp()
  const time = new VirtualTime()
  let reads = 0
  const live = liveSessions({ read: async (refs) => { reads++; return refs.flatMap(({ id }) => records.get(id) ?? []) } }, settings, time)
  t.equal(nameOf(await live.find({ session: alice('a') })), 'a')
  const answers = Promise.all([Promise.resolve(live.find({ session: alice('a') })), Promise.resolve(live.find({ session: alice('b') }))])
  await time.run(0.01)
  t.equal((await answers).length, 2)
  t.equal(reads, 2)
})

for (const maxAge of [0.3, 5]) {
  t.test(`a subscription that is assumed remembers for as long as it may be wrong: ${maxAge} s`, async (t) => {
    const { records } = setUp()
    const time = new VirtualTime()
    await time.run(0.05)
    let reads = 0
    const read = async (refs: readonly SessionRef[]) => { reads++; return refs.flatMap(({ id }) => records.get(id) ?? []) }
    const live = liveSessions({ read, watch: assumedWatch }, { ...settings, maxAge }, time)
    const find = async () => {
      const answer = Promise.resolve(live.find({ session: alice('a') }))
      await time.run(0.01)
      return nameOf(await answer)
    }
    t.equal(await find(), 'a')
    records.delete('a')
    await time.run(maxAge - 0.1)
    t.equal(await find(), 'a')
    t.equal(reads, 1)
    await time.run(0.1)
    t.equal(await find(), undefined)
    await live.close()
    assumedWatch({ ready: ({ reset }) => reset(), lost: () => t.fail('nothing can be lost'), revoked () {}, changed () {} }).close()
  })
}

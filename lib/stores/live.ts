import { isPromise } from '../awaitable'
import { sessionError } from '../errors'
import { isLive, matching } from '../record'
import { createSeats, type OwnStore, type Rotation, type Seat, type Seated } from '../seats'
import type { Timing } from '../clock'
import type { Awaitable, RevocationStore, SessionMemory, SessionRecord, SessionRef, WatchHandlers } from '../../types'

export interface LiveSettings {
  /** How long a silent subscription is trusted, counted from the sending of a ping that was answered. */
  readonly lease: number
  /** How long a session may be remembered at all. */
  readonly maxAge: number
  /** How many sessions may be remembered. */
  readonly maxEntries: number
  /** How long a revoked session is remembered as such: the longest life of an access token. */
  readonly burial: number
  /** How long a read may be repeated because notices made its answers worthless. */
  readonly deadline: number
}

/** What a node remembers of live sessions. */
export interface LiveSessions {
  /** How far a session has got if it is live now. Answers at once for a session that is remembered, or if the store does. */
  find (seated: Seated, now?: number): Awaitable<Rotation | undefined>
  /** Remembers no longer that a session is live. */
  forget (id: string): void
  /** Forgets it, and trusts no read of it that is under way: its revocation is about to be written. */
  fence (id: string): void
  /** Remembers that a session is revoked, for good. */
  bury (id: string): void
  /** Whether it is remembered that a session is revoked, whatever the store says now. */
  isBuried (id: string): boolean
  /** How many are remembered as live, and whether the subscription is trusted, if there is one. */
  memory (): Pick<SessionMemory, 'liveSessions' | 'isTrusted'>
  close (): Awaitable<void>
}

/** What is asked of a store here. */
export interface WatchedStore {
  read: RevocationStore['read']
  /** The store, if it is one of this process. */
  own?: OwnStore | undefined
  watch?: RevocationStore['watch'] | undefined
}

/** A request that waits for a read. */
interface Waiter {
  readonly ref: SessionRef
  readonly since: number
  /** A notice came while the read was under way: whatever it answers proves nothing. */
  isDirty: boolean
  resolve (rotation: Rotation | undefined): void
  reject (error: unknown): void
}

type Link = Parameters<WatchHandlers['ready']>[0]

/** One read does not ask for more than this many sessions, and not more reads than this many are under way. */
const BATCH = 500
const READS = 8

/**
 * Remembers live sessions as long as a subscription to their revocations can be trusted; asks the store otherwise.
 *
 * A revoked session never becomes live again, so that only *live* answers are dangerous to keep. Notices and answers travel on
 * different connections and overtake each other, hence the fences: an answer is remembered only if one and the same
 * subscription spanned the whole read and no notice touched it.
 */
export function liveSessions (store: WatchedStore, settings: LiveSettings, timing: Timing): LiveSessions {
  const { lease, maxAge, maxEntries, burial, deadline } = settings
  const hot = createSeats(maxEntries)
  const dead = new Map<string, number>()
  const flight = new Map<string, Set<Waiter>>()
  let queue: Waiter[] = []
  let underWay = 0
  let isClosed = false
  /** Identity of the current subscription. */
  let subscription: Link | null = null
  let [leaseEnd, leaseWallEnd] = [-Infinity, -Infinity]
  let stopBeat = (): void => {}
  let answersAtOnce = store.watch === undefined

  const isTrusted = (steady: number, now: number): boolean => subscription !== null && steady < leaseEnd && now < leaseWallEnd
  const isBuried = (id: string, now = timing.now()): boolean => dead.has(id) && dead.get(id) as number > now
  const liveOnly = (record: SessionRecord | undefined): Rotation | undefined => isLive(record, timing.now()) ? record.state : undefined

  /** Whether that which is remembered in a seat may be taken. */
  function isGood (seat: Seat, now: number): boolean {
    if (seat.record === undefined || seat.ends <= now) return false
    if (store.own !== undefined) return store.own.isItself()
    const steady = timing.steady()
    return isTrusted(steady, now) && steady * 1000 < seat.until
  }

  function bury (id: string): void {
    // A store of this process may have lost the write, and whoever knows the seat would go on to take it.
    const own = store.own?.get(id)
    if (own !== undefined) own.ends = 0
    hot.leave(id)
    soil(id)
    dead.delete(id)
    dead.set(id, timing.now() + burial)
    for (const [oldest, until] of dead) {
      if (until > timing.now() && dead.size <= maxEntries) break
      dead.delete(oldest)
    }
  }

  function soil (id: string): void {
    for (const waiter of flight.get(id) ?? []) waiter.isDirty = true
  }

  function forgetAll (): void {
    hot.clear()
    for (const id of flight.keys()) soil(id)
  }

  /** Waits for a read that is yet to be sent. Joining one under way could answer what was true before this request began. */
  function enqueue (waiter: Waiter): void {
    if (queue.length === 0) timing.soon(dispatch)
    queue.push(waiter)
  }

  function dispatch (): void {
    while (queue.length > 0 && underWay < READS) {
      const batch = queue.slice(0, BATCH).filter(isInTime)
      queue = queue.slice(BATCH)
      if (batch.length === 0) continue
      underWay++
      readAll(batch).catch((error: unknown) => { for (const waiter of batch) waiter.reject(error) }).finally(() => {
        // A store that stands still must not find all that was ever asked of it when it goes on.
        underWay--
        dispatch()
      })
    }
  }

  function isInTime (waiter: Waiter): boolean {
    const isLate = timing.steady() - waiter.since > deadline
    if (isLate) waiter.reject(sessionError('STORE_UNAVAILABLE', { cause: new Error('A read had to wait for too long, for the store or for notices') }))
    return !isLate
  }

  async function readAll (batch: Waiter[]): Promise<void> {
    const spanning = subscription
    const sent = timing.steady()
    for (const waiter of batch) enter(waiter)
    let records: readonly SessionRecord[]
    try {
      records = await store.read(batch.map(({ ref }) => ref))
    } finally {
      for (const waiter of batch) leave(waiter)
    }
    for (const waiter of batch) {
      const { ref } = waiter
      const record = matching(records, ref)
      if (!isLive(record, timing.now())) waiter.resolve(undefined)
      else if (!waiter.isDirty) {
        if (spanning !== null && spanning === subscription && !isBuried(ref.id)) hot.take(record, sent + maxAge)
        waiter.resolve(record.state)
      } else if (isInTime(waiter)) enqueue(Object.assign(waiter, { isDirty: false }))
    }
  }

  function enter (waiter: Waiter): void {
    const { id } = waiter.ref
    flight.set(id, (flight.get(id) ?? new Set<Waiter>()).add(waiter))
  }

  function leave (waiter: Waiter): void {
    const { id } = waiter.ref
    const waiters = flight.get(id)
    waiters?.delete(waiter)
    if (waiters?.size === 0) flight.delete(id)
  }

  /** Proves again and again that notices arrive. The lease counts from the sending: the answer may have been on its way for long. */
  function beat (link: Link): void {
    const [sent, sentWall] = [timing.steady(), timing.now()]
    const missed = timing.after(lease, () => {
      if (subscription === link) link.reset()
    })
    stopBeat = missed
    link.ping().then(() => {
      missed()
      if (subscription !== link) return
      leaseEnd = sent + lease
      leaseWallEnd = sentWall + lease
      stopBeat = timing.after(lease / 3, () => beat(link))
    }, () => {
      missed()
      if (subscription === link) link.reset()
    })
  }

  const watcher = store.watch?.({
    ready (link) {
      if (isClosed) return
      stopBeat()
      hot.clear()
      subscription = link
      leaseEnd = -Infinity
      beat(link)
    },
    lost () {
      stopBeat()
      subscription = null
      hot.clear()
    },
    revoked (ids) { ids.forEach(bury) },
    changed: forgetAll
  })

  return {
    bury,
    isBuried,
    memory: () => ({ liveSessions: hot.count(), isTrusted: watcher === undefined ? null : isTrusted(timing.steady(), timing.now()) }),

    find (seated, now = timing.now()) {
      if (seated.seat !== undefined && isGood(seated.seat, now)) return seated.seat
      const ref = seated.session
      if (isBuried(ref.id, now)) return undefined
      const seat = (store.own ?? hot).get(ref.id)
      if (seat?.record?.subject === ref.subject && isGood(seat, now)) return (seated.seat = seat)
      if (answersAtOnce) {
        const answer = store.read([ref])
        if (!isPromise(answer)) return liveOnly(matching(answer, ref))
        answersAtOnce = false
        return answer.then((records) => dead.has(ref.id) ? undefined : liveOnly(matching(records, ref)))
      }
      return new Promise((resolve, reject) => enqueue({ ref, since: timing.steady(), isDirty: false, resolve, reject }))
    },

    forget: (id) => hot.leave(id),

    fence (id) {
      hot.leave(id)
      soil(id)
    },

    async close () {
      isClosed = true
      stopBeat()
      subscription = null
      await watcher?.close()
    }
  }
}

import { evict, KEPT } from './eviction'
import type { SessionRecord, SessionRef } from '../types'

/** Where a session is remembered. Whoever found it once need not look for it again: it is empty as soon as nothing may be taken from it. */
export interface Seat {
  record: SessionRecord | undefined
  /** When the session ends. */
  readonly ends: number
  /** Until when it may be taken, in steady time. */
  readonly until: number
}

/** A session, and the seat that it was found in before, if it was. */
export interface SeatedRef extends SessionRef {
  seat?: Seat | undefined
}

/** A store of this process, seen from within: what it holds was made here, and needs neither to be checked nor to be waited for. */
export interface OwnStore {
  get (id: string): Seat | undefined
  /** False when the application has put something between: then that is to be asked. */
  isItself (): boolean
}

/** Records by the ids of their sessions. */
export interface Seats {
  count (): number
  get (id: string): Seat | undefined
  /** Gives a session a new seat. When there are too many, the oldest ones lose theirs. */
  take (record: SessionRecord, until: number): void
  leave (id: string): void
  clear (): void
}

export function createSeats (limit: number): Seats {
  const taken = new Map<string, Seat>()

  function leave (id: string): void {
    const seat = taken.get(id)
    if (seat === undefined) return
    seat.record = undefined
    taken.delete(id)
  }

  return {
    leave,
    count: () => taken.size,
    get: (id) => taken.get(id),

    take (record, until) {
      leave(record.id)
      taken.set(record.id, { record, ends: Math.min(record.expiresAt, record.state.idleExpiresAt), until })
      if (taken.size > limit) evict(taken, () => taken.size > Math.ceil(limit * KEPT), leave)
    },

    clear () {
      for (const seat of taken.values()) seat.record = undefined
      taken.clear()
    }
  }
}

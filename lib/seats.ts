import { evict, KEPT } from './eviction'
import type { SessionRecord, SessionRef, SessionState } from '../types'

/** How far the refresh tokens of a session have got. */
export type Rotation = Pick<SessionState, 'generation' | 'seen'>

/**
 * Where a session is remembered. Whoever found it once need not look for it again: it is empty as soon as nothing may be taken from it.
 *
 * It holds by itself whatever a request asks of a session: most of the time of a guard is waiting for memory that was not used lately.
 */
export interface Seat extends Rotation {
  record: SessionRecord | undefined
  /** When the session ends, rounded down: a number with a fraction would lie in a place of its own. 0 when it was revoked, whatever its store says. */
  ends: number
  /** Until when it may be taken, in whole milliseconds of steady time. */
  readonly until: number
}

/** Whoever knows a session, and the seat that it was found in before, if it was. */
export interface Seated {
  readonly session: SessionRef
  seat?: Seat | undefined
}

/** A store of this process, seen from within: what it holds was checked when it was written, and is not waited for. */
export interface OwnStore {
  get (id: string): Seat | undefined
  /** False when the application has put something between: then that is to be asked. */
  isItself (): boolean
}

/** Records by the ids of their sessions. */
export interface Seats {
  count (): number
  get (id: string): Seat | undefined
  /** Gives a session a new seat until a steady time. When there are too many, the oldest ones lose theirs. */
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
      const { expiresAt, state: { generation, seen, idleExpiresAt } } = record
      taken.set(record.id, { record, generation, seen, ends: Math.floor(Math.min(expiresAt, idleExpiresAt)), until: Math.floor(until * 1000) })
      if (taken.size > limit) evict(taken, () => taken.size > Math.ceil(limit * KEPT), leave)
    },

    clear () {
      for (const seat of taken.values()) seat.record = undefined
      taken.clear()
    }
  }
}

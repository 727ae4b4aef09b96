import type { SessionRecord, SessionRef, SessionState } from '../types'

/** The record of a session among what a store answered, which may be of others. */
export function matching (records: readonly SessionRecord[], ref: SessionRef): SessionRecord | undefined {
  return records.find(({ id, subject }) => id === ref.id && subject === ref.subject)
}

/** Why a session is not live, or undefined when it is. */
export function endOf (record: SessionRecord, now: number): 'revoked' | 'expired' | undefined {
  if (record.revoked) return 'revoked'
  return record.expiresAt <= now || record.state.idleExpiresAt <= now ? 'expired' : undefined
}

/** Whether a session is live. One that is not there is revoked. */
export function isLive (record: SessionRecord | undefined, now: number): record is SessionRecord {
  return record !== undefined && endOf(record, now) === undefined
}

/** The record that follows another one. */
export function nextOf (record: SessionRecord, change: Partial<SessionState>): SessionRecord {
  return { ...record, revision: record.revision + 1, state: { ...record.state, ...change } }
}

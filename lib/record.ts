import type { SessionRecord, SessionRef, SessionState } from '../types'

/** The record of a session among what a store answered, which may be of others. */
export function matching (records: readonly SessionRecord[], ref: SessionRef): SessionRecord | undefined {
  return records.find(({ id, subject }) => id === ref.id && subject === ref.subject)
}

/**
 * Whether a store answered with a record. What is compared with something has to be a number: undefined is never greater, and
 * would make a session last for ever.
 */
export function isRecord (value: unknown): value is SessionRecord {
  const record = value as SessionRecord | null | undefined
  return typeof record?.id === 'string' &&
    typeof record.subject === 'string' &&
    typeof record.revoked === 'boolean' &&
    Number.isSafeInteger(record.revision) &&
    record.revision > 0 &&
    Number.isFinite(record.expiresAt) &&
    Number.isFinite(record.state?.generation) &&
    Number.isFinite(record.state.rotatedAt) &&
    Number.isFinite(record.state.idleExpiresAt) &&
    Number.isFinite(record.state.authTime) &&
    Number.isFinite(record.state.createdAt)
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

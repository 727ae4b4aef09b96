import type { Awaitable, SessionState } from './session'

/** What names a session. Both parts are in every token that this package signs. */
export interface SessionRef {
  /** The session's id: 128 random bits, base64url. */
  readonly id: string
  /** The subject whose session it is. */
  readonly subject: string
}

/** What a store keeps of one session. */
export interface SessionRecord extends SessionRef {
  /** How often the record has been written: 1, 2, 3 … Set by the plugin, compared by the store. */
  readonly revision: number
  /** The absolute end of the session, in epoch seconds. It never moves; the store may drop the record afterwards. */
  readonly expiresAt: number
  /** `true` is final: the store announces the write to its watchers, and may drop the record at once. */
  readonly revoked: boolean
  /** JSON of at most 2 KiB. The store keeps it and does not look inside. */
  readonly state: SessionState
}

/**
 * Keeps one record per session. A session that is not there is revoked, so losing data logs people out and never lets
 * anyone in.
 *
 * A rejection (or a throw) means "could not answer": the plugin answers `STORE_UNAVAILABLE` (503) and lets nobody in.
 * "No such session" is a value, never an error. All policy lives in the plugin: one conditional write of one record is the
 * only atomicity that a store has to offer.
 */
export interface RevocationStore {
  /**
   * The latest acknowledged record of each of the named sessions that has one, in any order. A session without a record is
   * left out. A record of another subject than the one asked for MAY be returned; the plugin ignores it.
   * May answer without a promise, which spares the guards one.
   */
  read (refs: readonly SessionRef[]): Awaitable<readonly SessionRecord[]>

  /**
   * Writes `record` if and only if the stored revision is `expected`, where 0 means that there is no record. The comparison
   * and the write MUST be one step. Answers whether the record was written. After a rejection nobody knows whether it was:
   * the plugin reads again before it concludes anything. An error with `isFinal: true` is not questioned: the write may stand,
   * but not as safely as was asked for.
   *
   * A record that was written with `revoked: true` is final: no later write that expects a revision above 0 is accepted. What
   * is kept is a copy: neither a change of `record` afterwards nor one of what `read` and `list` answered may reach it.
   */
  write (record: SessionRecord, expected: number): Awaitable<boolean>

  /** Every live record of a subject and no revoked one, in any order, including all whose write was acknowledged before the call. */
  list (subject: string): Awaitable<readonly SessionRecord[]>

  /**
   * Optional. Tells of revocations written by anyone, on any node, so that the plugin may remember live sessions.
   * A store that answers without a promise does not need it.
   */
  watch? (on: WatchHandlers): { close (): Awaitable<void> }

  /** Optional. Deletes up to `limit` records that expired before `now` (epoch seconds). Stores with a TTL need none. */
  prune? (now: number, limit: number): Awaitable<number>

  /** Optional. Called when an application closes. If several share the store, it must go on for the others; each closes its own watch. */
  close? (): Awaitable<void>
}

/** What a store that watches calls, and when. */
export interface WatchHandlers {
  /** A new subscription, proven by an echo that went the whole way. */
  ready (link: { ping (): Promise<void>, reset (): void }): void
  /**
   * The subscription is no longer trustworthy. Called at the first sign of trouble, once for each `ready`, and once when no
   * subscription comes about at all. The reason goes to the log.
   */
  lost (reason?: unknown): void
  /** These sessions are revoked. MUST NOT be called before `read` shows it. */
  revoked (ids: readonly string[]): void
  /** Anything may have changed. */
  changed (): void
}

import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { after } from './awaitable'
import { now } from './clock'
import { sessionError } from './errors'
import { decide, type Intervals } from './policy'
import { isLive, matching, nextOf } from './record'
import type { Emit } from './events'
import type { Rotation, Seated } from './seats'
import type { BoundedStore } from './stores/bounded'
import type { LiveSessions } from './stores/live'
import type { Awaitable, Device, RefreshRefusal, RevocationReason, Session, SessionRecord, SessionRef, SessionState } from '../types'

/**
 * How often a request that loses its write looks again. Each loss means that somebody else's write went through, so this many
 * is not contention but a store that answers `false` to everything.
 */
const ATTEMPTS = 50

/** How many sessions of a subject are ended at a time. */
const PORTION = 50

export interface SessionSettings {
  readonly idleTimeout: number
  readonly absoluteTimeout: number
  readonly maxPerSubject: number
  readonly intervals: Intervals
}

/** What became of a refresh: what `prepare` made, or why there is nothing. */
export type Renewal<Prepared> = { readonly prepared: Prepared } | { readonly refused: RefreshRefusal }

type Prepare<Prepared> = (record: SessionRecord) => Promise<Prepared | undefined>

/** The life of a session, over any store. All of it rests on one conditional write of one record. */
export interface Sessions {
  /** The record of a session that is yet to be opened. */
  draft (subject: string, device: Device): SessionRecord
  /** The record of a one-time token that is yet to be opened. */
  draftOnce (subject: string, purpose: string, lifetime: number): SessionRecord
  /** Makes a drafted session live; ends the oldest ones beyond the limit. */
  open (draft: SessionRecord): Promise<void>
  /** Whether the session of an access token of this generation is live, now or at a time that was just read. Answers at once if the store does. */
  resume (seated: Seated, generation: number, time?: number): Awaitable<boolean>
  /**
   * Renews a session for a refresh token of generation `presented`. `prepare` makes the answer for a record before it is
   * written, so that its failing burns no token; by answering undefined it ends the session.
   */
  rotate<Prepared extends object> (ref: SessionRef, presented: number, prepare: Prepare<Prepared>): Promise<Renewal<Prepared>>
  /** Ends what a one-time token names; answers whether nobody did before. A write whose fate is unknown counts as failed. */
  consume (ref: SessionRef): Promise<boolean>
  /** Ends a session; answers whether this call did. */
  revoke (ref: SessionRef, reason: RevocationReason): Promise<boolean>
  /** Ends the sessions and one-time tokens of a subject; answers the ids of the sessions that this call ended. */
  revokeAll (subject: string, reason: RevocationReason, except?: string): Promise<string[]>
  /** The live sessions of a subject, oldest first. */
  list (subject: string): Promise<Session[]>
}

export function createSessions (store: BoundedStore, live: LiveSessions, settings: SessionSettings, emit: Emit): Sessions {
  const { idleTimeout, absoluteTimeout, maxPerSubject, intervals } = settings

  async function find (ref: SessionRef): Promise<SessionRecord | undefined> {
    const record = matching(await store.read([ref]), ref)
    // The store may have lost what this node remembers as live. Not for good: it may be somebody else's.
    if (!isLive(record, now())) live.fence(ref.id)
    return record
  }

  /** Writes; false when somebody else did. A rejected write may have been applied, so it is looked at again. */
  async function write (next: SessionRecord, expected: number): Promise<boolean> {
    try {
      return await store.write(next, expected)
    } catch (error) {
      if ((error as { cause?: { isFinal?: boolean } }).cause?.isFinal) throw error
      const current = await find(next)
      if (isDeepStrictEqual(current, next) || (next.revoked && (current === undefined || current.revoked))) return true
      if ((current?.revision ?? 0) !== expected) return false
      throw error
    }
  }

  /** Goes round until `step` comes to an end: undefined means that it lost a write and has to look again. */
  async function persist<T> (step: () => Promise<T | undefined>): Promise<T> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const result = await step()
      if (result !== undefined) return result
    }
    throw sessionError('STORE_UNAVAILABLE', { cause: new Error(`The store refused ${ATTEMPTS} writes in a row`) })
  }

  /** Remembers that a token of the current generation came back; answers whether the session is live. */
  function markSeen (ref: SessionRef, generation: number): Promise<boolean> {
    return persist(async () => {
      const record = await find(ref)
      if (!isLive(record, now())) return false
      if (record.state.seen || record.state.generation !== generation) return true
      return await write(nextOf(record, { seen: true }), record.revision) || undefined
    })
  }

  function resumeWith (rotation: Rotation | undefined, session: SessionRef, generation: number): Awaitable<boolean> {
    if (rotation === undefined) return false
    if (intervals.recovery === 0) return true
    // What is remembered may be a rotation behind, but then it cannot know that the newer generation was seen.
    const isNews = generation === rotation.generation ? !rotation.seen : generation > rotation.generation
    if (!isNews) return true
    live.forget(session.id)
    return markSeen(session, generation)
  }

  function revoke (ref: SessionRef, reason: RevocationReason): Promise<boolean> {
    return persist(async () => {
      const record = await find(ref)
      if (!isLive(record, now())) return false
      const ended = { ...nextOf(record, { revokedAt: now() }), revoked: true }
      live.fence(ref.id)
      if (!await write(ended, record.revision)) return undefined
      live.bury(ref.id)
      if (isSession(record)) emit('session.revoked', { ...named(ref), reason })
      return true
    })
  }

  async function listLive (subject: string): Promise<SessionRecord[]> {
    const records = await store.list(subject)
    return records
      .filter((record) => record.subject === subject && isLive(record, now()))
      .sort((one, other) => one.state.createdAt - other.state.createdAt)
  }

  return {
    revoke,

    draft: (subject, device) => draftOf(subject, absoluteTimeout, idleTimeout, { device }),
    draftOnce: (subject, purpose, lifetime) => draftOf(subject, lifetime, lifetime, { device: {}, purpose }),

    async consume (ref) {
      const record = await find(ref)
      return isLive(record, now()) && await store.write({ ...nextOf(record, { revokedAt: now() }), revoked: true }, record.revision)
    },

    async open (draft) {
      if (!await write(draft, 0)) {
        throw sessionError('STORE_UNAVAILABLE', { cause: new Error('The store did not accept a new session') })
      }
      if (maxPerSubject === Infinity || draft.state.purpose !== undefined) return
      // After the write, so that of two logins at once the later one sees both.
      const open = (await listLive(draft.subject)).filter(isSession)
      const surplus = open.filter(({ id }) => id !== draft.id).slice(0, Math.max(0, open.length - maxPerSubject))
      await Promise.all(surplus.map((record) => revoke(record, 'limit')))
    },

    resume: (seated, generation, time) => after(live.find(seated, time), resumeWith, seated.session, generation),

    rotate<Prepared extends object> (ref: SessionRef, presented: number, prepare: Prepare<Prepared>) {
      let overlapped = false
      return persist<Renewal<Prepared>>(async () => {
        // A store that was restored or failed over may have forgotten what this node heard.
        if (live.isBuried(ref.id)) return { refused: 'revoked' }
        const record = await find(ref)
        if (record === undefined) return { refused: 'unknown' }
        const { generation } = record.state
        const time = now()
        const verdict = decide(record, presented, overlapped, time, intervals)
        if (verdict.action === 'refuse') return { refused: verdict.reason }
        if (verdict.action === 'revoke') {
          if (await revoke(ref, 'reused')) emit('session.reused', { ...named(ref), generation, presented })
          return { refused: 'reused' }
        }

        const next = verdict.action === 'rotate'
          ? nextOf(record, {
            generation: verdict.to,
            rotatedAt: time,
            seen: false,
            idleExpiresAt: Math.min(time + idleTimeout, record.expiresAt)
          })
          : nextOf(record, { seen: record.state.seen || verdict.seen })
        const prepared = await prepare(next)
        if (prepared === undefined) {
          await revoke(ref, 'user_gone')
          return { refused: 'user_gone' }
        }

        const isWritten = next.state.seen === record.state.seen && verdict.action === 'repeat'
        if (!isWritten && !await write(next, record.revision)) {
          overlapped ||= generation === presented
          return undefined
        }
        if (verdict.action === 'rotate' && verdict.regressed) emit('store.regressed', { ...named(ref), generation, presented })
        if (verdict.action === 'repeat' && verdict.recovered) emit('refresh.recovered', { ...named(ref), generation })
        emit('refresh.succeeded', { ...named(ref), generation: next.state.generation, rotated: verdict.action === 'rotate' })
        return { prepared }
      })
    },

    async revokeAll (subject, reason, except) {
      const records = (await listLive(subject)).filter(({ id }) => id !== except)
      const ended: string[] = []
      // In portions, so that no write waits behind so many others that it counts as unanswered.
      for (let start = 0; start < records.length; start += PORTION) {
        await Promise.all(records.slice(start, start + PORTION).map(async (record) => {
          if (await revoke(record, reason) && isSession(record)) ended.push(record.id)
        }))
      }
      return ended
    },

    async list (subject) {
      return (await listLive(subject)).filter(isSession).map(({ id, expiresAt, state: { createdAt, rotatedAt, idleExpiresAt, device } }) =>
        ({ id, subject, createdAt, rotatedAt, idleExpiresAt, expiresAt, ...device }))
    }
  }
}

function draftOf (subject: string, lifetime: number, idle: number, rest: Pick<SessionState, 'device' | 'purpose'>): SessionRecord {
  const createdAt = now()
  const expiresAt = createdAt + lifetime
  const idleExpiresAt = Math.min(createdAt + idle, expiresAt)
  return {
    id: randomBytes(16).toString('base64url'),
    subject,
    revision: 1,
    expiresAt,
    revoked: false,
    state: { generation: 0, rotatedAt: createdAt, seen: false, authTime: createdAt, createdAt, idleExpiresAt, ...rest }
  }
}

/** One-time tokens have records too. */
function isSession ({ state }: SessionRecord): boolean {
  return state.purpose === undefined
}

function named ({ id, subject }: SessionRef): SessionRef {
  return { id, subject }
}

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { now } from '../clock'
import type { Awaitable, RevocationStore, SessionRecord, SessionRef } from '../../types'

/** What one test of the kit works with. */
export interface Bench {
  /** Handles on one storage, as the nodes of an application hold them. */
  readonly nodes: readonly [RevocationStore, RevocationStore, ...RevocationStore[]]
  /** How often a race is run. */
  readonly rounds: number
  /** Waits until something is so; fails with `what` when the time of the test is over. */
  until (what: string, isSo: () => boolean): Promise<void>
}

/** Proves one promise on a bench; rejects when the store breaks it. */
export type Proof = (bench: Bench) => Promise<void>

/** Promises, each with its proof. */
export type Chapter = Readonly<Record<string, Proof>>

interface Setting {
  open (): Awaitable<RevocationStore>
  close (store: RevocationStore): Awaitable<void>
  handles: number
  rounds: number
  timeoutMs: number
}

/** Opens handles, runs a proof on them within its time, and closes them whatever came of it. */
export async function withBench ({ open, close, handles, rounds, timeoutMs }: Setting, prove: Proof): Promise<void> {
  // A little earlier than the test ends, so that it fails with what was waited for.
  const deadline = performance.now() + timeoutMs * 0.9
  const opened: RevocationStore[] = []
  const bench: Bench = {
    nodes: opened as unknown as Bench['nodes'],
    rounds,
    async until (what, isSo) {
      while (!isSo()) {
        assert.ok(performance.now() < deadline, `Not within ${timeoutMs} ms: ${what}`)
        await sleep(4)
      }
    }
  }
  const work = async (): Promise<void> => {
    while (opened.length < handles) opened.push(await open())
    await prove(bench)
  }
  const closing = () => within(timeoutMs, Promise.all(opened.map(async (store) => { await close(store) })))

  try {
    await within(timeoutMs, work())
  } catch (error) {
    await closing().catch(() => {})
    throw error
  }
  await closing()
}

async function within (timeoutMs: number, work: Promise<unknown>): Promise<void> {
  const timer = new AbortController()
  const tooLate = sleep(timeoutMs, undefined, { signal: timer.signal })
    .then(() => assert.fail(`A call of the store did not settle within ${timeoutMs} ms`), () => {})
  await Promise.race([work, tooLate]).finally(() => timer.abort())
}

/** A name that no other test has. Lower case and digits, so that only the tests about names depend on names. */
export function uniqueName (): string {
  return randomBytes(16).toString('hex')
}

/** The first record of a live session. Whole seconds, so that only the tests about fractions depend on fractions. */
export function draft (change: Partial<SessionRecord> = {}): SessionRecord {
  const time = Math.floor(now())
  return {
    id: uniqueName(),
    subject: `subject-${uniqueName()}`,
    revision: 1,
    expiresAt: time + 3600,
    revoked: false,
    state: {
      generation: 0,
      rotatedAt: time,
      seen: false,
      authTime: time,
      createdAt: time,
      idleExpiresAt: time + 600,
      device: { userAgent: 'conformance', ip: '::1' }
    },
    ...change
  }
}

/** The record after a rotation. */
export function rotated (record: SessionRecord): SessionRecord {
  const { revision, state } = record
  return { ...record, revision: revision + 1, state: { ...state, generation: state.generation + 1 } }
}

/** The record after a revocation. */
export function revoked (record: SessionRecord): SessionRecord {
  const { revision, state } = record
  return { ...record, revision: revision + 1, revoked: true, state: { ...state, revokedAt: state.createdAt } }
}

export function refOf ({ id, subject }: SessionRef): SessionRef {
  return { id, subject }
}

/** What a handle knows of a session. */
export async function readOne (store: RevocationStore, ref: SessionRef): Promise<SessionRecord | undefined> {
  const records = await store.read([refOf(ref)])
  assert.ok(Array.isArray(records), 'read must answer an array')
  return records.find(({ id, subject }) => id === ref.id && subject === ref.subject)
}

/** Records in an order of their own, so that they can be compared. */
export function sorted (records: readonly SessionRecord[]): SessionRecord[] {
  return [...records].sort((one, other) => one.id < other.id ? -1 : 1)
}

/** Writes what has to be accepted. */
export async function put (store: RevocationStore, record: SessionRecord, expected = record.revision - 1): Promise<void> {
  assert.equal(await store.write(record, expected), true, `write must answer true: the stored revision is ${expected}, as expected`)
}

/** Every handle reads exactly this record. */
export async function assertHolds ({ nodes }: Bench, record: SessionRecord): Promise<void> {
  for (const node of nodes) assert.deepStrictEqual(await readOne(node, record), record, 'read must answer the record that was written last')
}

/** No handle reads the session as a live one. */
export async function assertEnded ({ nodes }: Bench, ref: SessionRef): Promise<void> {
  for (const node of nodes) assert.ok(isEnded(await readOne(node, ref)), 'read must not answer a live record of a revoked session')
}

/** A session that is not there is revoked. */
export function isEnded (record: SessionRecord | undefined): boolean {
  return record === undefined || record.revoked
}

/** Item `index` of a list that is gone through again and again. */
export function cycle<T> (items: readonly T[], index: number): T {
  return items[index % items.length] as T
}

import { after } from './awaitable'
import type { Awaitable, RevocationStore, SessionRecord, SessionRef, WatchHandlers } from '../types'

/**
 * What goes wrong with one call of a store.
 *
 * - `'rejected before'`: it fails, and nothing happened.
 * - `'rejected after'`: it fails, but it did happen: the answer was lost. A `read` or a `list` fails in the same way in both.
 * - `'stale'`: a `read` or a `list` answers as if the latest write through this wrapper had not happened yet, as a replica would.
 *   No store may do that.
 * - `'lost'`: an announcement is not delivered. No store may do that without calling `lost`.
 * - `beforeMs`, `afterMs`: it happens, or its answer comes, that many milliseconds late; never, when that is `Infinity`. An
 *   announcement is delivered late by both.
 */
export type Fault =
  | 'rejected before'
  | 'rejected after'
  | 'stale'
  | 'lost'
  | { readonly beforeMs?: number, readonly afterMs?: number }

/** A call that a fault may befall. */
export interface StoreCall {
  /** The method, or what a watch does: `ping` by its owner, `revoked` and `changed` by the store. */
  readonly name: 'read' | 'write' | 'list' | 'prune' | 'ping' | 'revoked' | 'changed'
  /** How many calls of this name came before it through this wrapper. */
  readonly index: number
  /** The sessions that it names: those asked for, the one written, those announced. */
  readonly ids: readonly string[]
}

/** Says what befalls a call: undefined for nothing. Faults that do not fit a call leave it alone. */
export type FaultPlan = (call: StoreCall) => Fault | undefined

/**
 * A store with faults made to order, for tests of what an application does when its store fails. A call that nothing befalls is
 * handed on as it is, also if the store answers without a promise. With a plan that never answers a fault, the wrapper passes
 * `conformanceTests` whenever the store does.
 *
 * @example
 * ```ts
 * import jwtSession, { memoryStore } from 'fastify-jwt-session'
 * import { faultyStore } from 'fastify-jwt-session/conformance'
 *
 * let isDown = false
 * const revocationStore = faultyStore(memoryStore(), () => isDown ? 'rejected before' : undefined)
 * await app.register(jwtSession, { ...options, revocationStore })
 *
 * isDown = true
 * const answer = await app.inject({ method: 'POST', url: '/login', payload: { username: 'ada', password: 'lovelace' } })
 * console.log(answer.statusCode) // 503
 * ```
 */
export function faultyStore (store: RevocationStore, plan: FaultPlan): RevocationStore {
  const counts = new Map<StoreCall['name'], number>()
  const known = new Map<string, SessionRecord>()
  let latest: { readonly id: string, readonly subject: string, readonly before: SessionRecord | undefined } | undefined

  function faultOf (name: StoreCall['name'], ids: readonly string[]): Fault | undefined {
    const index = counts.get(name) ?? 0
    counts.set(name, index + 1)
    return plan({ name, index, ids })
  }

  function ask<T> (name: StoreCall['name'], ids: readonly string[], call: () => Awaitable<T>, stale = (answer: T) => answer): Awaitable<T> {
    const fault = faultOf(name, ids)
    if (fault === undefined || fault === 'lost') return call()
    if (fault === 'stale') return after(call(), stale)
    return befall(fault, name, call)
  }

  /** Without the latest write: its session is as it was before. */
  function undone (records: readonly SessionRecord[], isAskedFor: (ref: SessionRef) => boolean): readonly SessionRecord[] {
    if (latest === undefined || !isAskedFor(latest)) return records
    const { id, before } = latest
    return [...records.filter((record) => record.id !== id), ...(before === undefined ? [] : [before])]
  }

  function watch (on: WatchHandlers): { close (): Awaitable<void> } {
    return (store as Required<RevocationStore>).watch({
      lost: (reason) => { on.lost(reason) },
      ready (link) {
        on.ready({ ping: async () => { await ask('ping', [], () => link.ping()) }, reset: () => { link.reset() } })
      },
      revoked (ids) { announce(faultOf('revoked', ids), () => on.revoked(ids)) },
      changed () { announce(faultOf('changed', []), () => on.changed()) }
    })
  }

  return {
    read: (refs) => ask('read', refs.map(({ id }) => id), () => store.read(refs),
      (records) => undone(records, (ref) => refs.some(({ id, subject }) => id === ref.id && subject === ref.subject))),

    write: (record, expected) => ask('write', [record.id], () => after(store.write(record, expected), (isWritten) => {
      if (isWritten) {
        latest = { id: record.id, subject: record.subject, before: known.get(record.id) }
        known.set(record.id, record)
      }
      return isWritten
    })),

    list: (subject) => ask('list', [], () => store.list(subject), (records) => undone(records, (ref) => ref.subject === subject)),

    ...(store.prune === undefined ? {} : { prune: (time: number, limit: number) => ask('prune', [], () => (store as Required<RevocationStore>).prune(time, limit)) }),
    ...(store.watch === undefined ? {} : { watch }),
    ...(store.close === undefined ? {} : { close: () => store.close?.() })
  }
}

async function befall<T> (fault: Exclude<Fault, 'stale' | 'lost'>, name: string, call: () => Awaitable<T>): Promise<T> {
  if (fault === 'rejected before') throw new Error(`${name} failed before it happened`)
  const { beforeMs = 0, afterMs = 0 } = fault === 'rejected after' ? {} : fault
  await delay(beforeMs)
  const answer = await call()
  if (fault === 'rejected after') throw new Error(`The answer to ${name} was lost`)
  await delay(afterMs)
  return answer
}

function announce (fault: Fault | undefined, deliver: () => void): void {
  if (fault === 'lost') return
  if (typeof fault !== 'object') return deliver()
  delay((fault.beforeMs ?? 0) + (fault.afterMs ?? 0)).then(deliver, () => {})
}

async function delay (ms: number): Promise<void> {
  if (ms === 0) return
  await new Promise<void>((resolve) => { if (ms !== Infinity) setTimeout(resolve, ms) })
}

import { types } from 'node:util'
import { now } from '../clock'
import { frozenCopy } from '../frozen'
import { isRecord } from '../record'
import { createSeats, type OwnStore } from '../seats'
import type { RevocationStore, SessionRecord } from '../../types'

const own = new WeakMap<RevocationStore['read'], OwnStore['get']>()

/** Undefined for a store that is not of this file, and for one behind a proxy, which may do anything at any time. */
export function ownStore (store: RevocationStore): OwnStore | undefined {
  const { read } = store
  const get = types.isProxy(store) ? undefined : own.get(read)
  return get && { get, isItself: () => store.read === read }
}

/**
 * Keeps sessions in this process: the default. They are gone when it ends, which logs everybody out, and other nodes do not
 * know them. Answers without a promise. Its `write` throws a `TypeError` for what is no `SessionRecord`.
 *
 * @example
 * ```ts
 * import jwtSession, { memoryStore } from 'fastify-jwt-session'
 *
 * // Two parts of one application, each with options of its own, that know the same sessions.
 * const revocationStore = memoryStore()
 * await app.register(async (shop) => {
 *   await shop.register(jwtSession, { ...options, revocationStore })
 *   shop.get('/cart', { onRequest: [shop.authenticate] }, ({ auth }) => ({ cartOf: auth.subject }))
 * })
 * await app.register(async (office) => {
 *   await office.register(jwtSession, { ...options, revocationStore, loadUser: true, routes: { prefix: '/office' } })
 *   office.get('/office/me', { onRequest: [office.authenticate] }, ({ auth }) => ({ id: auth.user?.id }))
 * })
 * ```
 */
export function memoryStore (): RevocationStore {
  const seats = createSeats(Infinity)
  const subjects = new Map<string, Set<string>>()
  // By the minute of their expiry, so that nobody ever has to walk over all of them.
  const expiring = new Map<number, Set<string>>()
  let cleared = minuteOf(now())

  const recordOf = (id: string): SessionRecord | undefined => seats.get(id)?.record

  function remove (record: SessionRecord): void {
    seats.leave(record.id)
    removeFrom(subjects, record.subject, record.id)
    removeFrom(expiring, minuteOf(record.expiresAt), record.id)
  }

  function removeExpired (): void {
    for (const current = minuteOf(now()); cleared < current; cleared++) {
      for (const id of expiring.get(cleared) ?? []) remove(recordOf(id) as SessionRecord)
    }
  }

  const store: RevocationStore = {
    read (refs) {
      const found: SessionRecord[] = []
      for (const { id } of refs) {
        const record = recordOf(id)
        if (record !== undefined) found.push(record)
      }
      return found
    },

    write (record, expected) {
      // What is in here is looked into as it is: a session without an end would never be over.
      if (!isRecord(record)) throw new TypeError('This is no record of a session: see SessionRecord')
      removeExpired()
      const current = recordOf(record.id)
      if ((current?.revision ?? 0) !== expected) return false
      if (current !== undefined) remove(current)
      if (!record.revoked) {
        seats.take(frozenCopy(record), Infinity)
        addTo(subjects, record.subject, record.id)
        addTo(expiring, minuteOf(record.expiresAt), record.id)
        // A clock that was ahead must not leave anything behind.
        cleared = Math.min(cleared, minuteOf(record.expiresAt))
      }
      return true
    },

    list (subject) {
      return Array.from(subjects.get(subject) ?? [], (id) => recordOf(id) as SessionRecord)
    }
  }
  own.set(store.read, seats.get)
  return store
}

function minuteOf (time: number): number {
  return Math.floor(time / 60)
}

function addTo<Key> (index: Map<Key, Set<string>>, key: Key, id: string): void {
  const ids = index.get(key)
  if (ids === undefined) index.set(key, new Set([id]))
  else ids.add(id)
}

function removeFrom<Key> (index: Map<Key, Set<string>>, key: Key, id: string): void {
  const ids = index.get(key)
  if (ids?.delete(id) && ids.size === 0) index.delete(key)
}

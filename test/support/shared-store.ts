import type { RevocationStore, SessionRecord, WatchHandlers } from '../../types'

/** What all handles of a store share. */
export interface Storage {
  readonly records: Map<string, SessionRecord>
  /** Those that watch, each with what it is told. */
  readonly watchers: Set<WatchHandlers>
}

export function newStorage (): Storage {
  return { records: new Map(), watchers: new Set() }
}

/** The next turn of the event loop: the way to a server. Turns come in the order in which they were asked for. */
export function turn (): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

export function copy<T> (value: T): T {
  return JSON.parse(JSON.stringify(value)) as T
}

/**
 * One handle on a storage that several share, as a store behind a server is: it answers by promises, announces revocations,
 * and has `prune`. Keeps what is revoked until it expires.
 */
export function sharedStore (storage: Storage): RevocationStore & Required<Pick<RevocationStore, 'watch' | 'prune'>> {
  const { records } = storage
  const subscriptions = new Set<{ close (): void }>()
  return {
    async read (refs) {
      await turn()
      const found = refs.flatMap(({ id }) => records.get(id) ?? []).map(copy)
      await turn()
      return found
    },

    async write (record, expected) {
      const next = copy(record)
      await turn()
      const current = records.get(next.id)
      const isWritten = (current?.revision ?? 0) === expected && !current?.revoked
      if (isWritten) records.set(next.id, next)
      if (isWritten && next.revoked) announce(storage, next.id)
      await turn()
      return isWritten
    },

    async list (subject) {
      await turn()
      return Array.from(records.values()).filter((record) => record.subject === subject && !record.revoked).map(copy)
    },

    watch (on) {
      const subscription = watchThrough(storage, on)
      subscriptions.add(subscription)
      return subscription
    },

    async prune (now, limit) {
      await turn()
      const expired = Array.from(records.values()).filter(({ expiresAt }) => expiresAt < now).slice(0, limit)
      for (const { id } of expired) records.delete(id)
      return expired.length
    },

    async close () {
      for (const subscription of subscriptions) subscription.close()
    }
  }
}

/** Tells everybody who watches, a turn later. */
export function announce ({ watchers }: Storage, id: string): void {
  for (const on of watchers) setImmediate(() => { if (watchers.has(on)) on.revoked([id]) })
}

/** A subscription: ready after an echo, and again after a reset. */
function watchThrough ({ watchers }: Storage, on: WatchHandlers): { close (): void } {
  let isOpen = true
  async function subscribe (): Promise<void> {
    await turn()
    if (!isOpen) return
    watchers.add(on)
    let isCurrent = true
    on.ready({
      async ping () {
        await turn()
        if (!isCurrent) throw new Error('The subscription has ended')
      },
      reset () {
        if (!isCurrent) return
        isCurrent = false
        watchers.delete(on)
        on.lost(new Error('reset'))
        subscribe()
      }
    })
  }
  subscribe()
  return {
    close () {
      isOpen = false
      watchers.delete(on)
    }
  }
}

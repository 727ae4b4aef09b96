import type { WatchHandlers } from '../../types'

/**
 * A subscription that is assumed rather than proven, for stores without one: sessions are remembered, and what other nodes
 * revoke is noticed when memory runs out (`session.maxStaleness`).
 */
export function assumedWatch (on: WatchHandlers): { close (): void } {
  on.ready({ ping: async () => {}, reset () {} })
  return { close () {} }
}

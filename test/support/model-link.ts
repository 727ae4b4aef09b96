import type { ModelTime } from './model-time'
import type { Awaitable, RevocationStore, WatchHandlers } from '../../types'

/** How late notices are that are late, and how long a new subscription takes, in seconds. */
const LATE = 0.3
const RECONNECTION = 0.1

/** A node's subscription, as it is made to believe: the real one goes on whatever happens to it. */
export interface Link {
  state: 'sound' | 'deaf' | 'slow' | 'cut'
  connect (): void
  disconnect (): void
  /** The same value as long as one and the same subscription is known to have told everything at once; otherwise undefined. */
  soundness (): object | undefined
  /** Whether notices may be missing, and the node does not know it. */
  isDeaf (): boolean
  /** Resolves when every notice of what is done so far has come. */
  ping (): Promise<void>
}

/** The `watch` of a store through a link. */
export function linkedWatch (time: ModelTime, store: Required<Pick<RevocationStore, 'watch'>>): { link: Link, watch: (on: WatchHandlers) => { close (): Awaitable<void> } } {
  let on: WatchHandlers
  let real: { ping (): Promise<void> } | undefined
  let becomeReady = (): void => {}
  const isReady = new Promise<void>((resolve) => { becomeReady = resolve })
  let connection: { isOpen: boolean } | undefined
  let underWay = 0
  let free = 0

  /** In the order of sending, as a connection does. */
  function deliver (over: typeof connection, call: () => void): void {
    if (over?.isOpen !== true || link.state === 'deaf') return
    const now = time.steady()
    free = Math.max(free, now + (link.state === 'slow' ? LATE : 0))
    if (free === now) return call()
    underWay++
    time.after(free - now, () => {
      underWay--
      if (over.isOpen && link.state !== 'deaf') call()
    })
  }

  const link: Link = {
    state: 'cut',
    isDeaf: () => link.state === 'deaf' || link.state === 'slow' || underWay > 0,
    soundness: () => link.state === 'sound' && underWay === 0 ? connection : undefined,

    async ping () {
      await isReady
      await real?.ping()
    },

    connect () {
      const mine = { isOpen: true }
      connection = mine
      link.state = 'sound'
      free = 0
      on.ready({
        async ping () {
          if (!mine.isOpen) throw new Error('The subscription has ended')
          if (link.state === 'deaf') return await new Promise<never>(() => {})
          await time.really(link.ping)
          await new Promise<void>((resolve) => { deliver(mine, resolve) })
        },
        reset () {
          if (!mine.isOpen) return
          link.disconnect()
          time.after(RECONNECTION, () => { if (connection === mine) link.connect() })
        }
      })
    },

    disconnect () {
      if (connection?.isOpen !== true) return
      connection.isOpen = false
      link.state = 'cut'
      on.lost(new Error('The history says so'))
    }
  }

  return {
    link,
    watch (handlers) {
      on = handlers
      return store.watch({
        ready (proven) {
          real = proven
          becomeReady()
        },
        lost () {},
        revoked (ids) { deliver(connection, () => on.revoked(ids)) },
        changed () { deliver(connection, () => on.changed()) }
      })
    }
  }
}

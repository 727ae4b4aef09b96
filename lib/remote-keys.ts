import type { FastifyBaseLogger } from 'fastify'
import { sessionError } from './errors'
import { keysOfSet } from './jwk-set'
import type { Timing } from './clock'
import type { Ring } from './key-ring'

/** How long an answer may take, in milliseconds. */
const TIMEOUT = 5000

/** In seconds. */
export interface RemoteSettings {
  readonly url: string
  readonly refreshInterval: number
  readonly cooldown: number
}

/** The keys that somebody else publishes. */
export interface RemoteKeys {
  /**
   * What a token has to wait for: undefined, unless it names a key that nobody knows.
   * @throws `STORE_UNAVAILABLE` when it cannot be told whether there is such a key.
   */
  fetchFor (token: string): Promise<void> | undefined
  /** Fetches them once, and from then on regularly. What fails is logged. */
  start (): Promise<void>
  close (): void
}

/**
 * Keeps the keys of a ring as they are published. Strangers cannot make it fetch more than once in a cooldown, and while nothing can be
 * fetched, the keys that are known stay.
 */
export function followKeys (ring: Ring, settings: RemoteSettings, log: FastifyBaseLogger, timing: Timing): RemoteKeys {
  const { url, refreshInterval, cooldown } = settings
  let underWay: Promise<void> | undefined
  let startedAt = 0
  let failure: unknown
  let cancel = (): void => {}
  let isClosed = false

  async function fetchKeys (): Promise<void> {
    startedAt = timing.steady()
    cancel()
    try {
      const response = await fetch(url, { redirect: 'error', headers: { accept: 'application/json' }, signal: AbortSignal.timeout(TIMEOUT) })
      if (!response.ok) throw new Error(`The answer has the status ${response.status}`)
      ring.replace(keysOfSet(await response.json()))
      failure = undefined
    } catch (err) {
      if (failure === undefined) log.warn({ err }, 'fastify-jwt-session: the published keys cannot be fetched')
      failure = err
    }
    underWay = undefined
    if (!isClosed) cancel = timing.after(failure === undefined ? refreshInterval : Math.min(cooldown, refreshInterval), start)
  }

  function start (): Promise<void> {
    underWay ??= fetchKeys()
    return underWay
  }

  function throwFailure (): void {
    if (failure !== undefined) throw sessionError('STORE_UNAVAILABLE', { cause: failure })
  }

  return {
    start,
    fetchFor (token) {
      if (!ring.isForeign(token)) return undefined
      if (underWay !== undefined || timing.steady() - startedAt >= cooldown) return start().then(throwFailure)
      throwFailure()
      return undefined
    },
    close () {
      isClosed = true
      cancel()
    }
  }
}

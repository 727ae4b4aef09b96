import { createHash } from 'node:crypto'
import { RateLimiterMemory, RateLimiterRes, type RateLimiterAbstract } from 'rate-limiter-flexible'
import { networkOf } from './address'
import { optionInvalid } from './errors'
import { LIMITER, type CountingStore } from './limiter'
import { readDuration, refuseUnknown } from './option-values'
import { within } from './stores/bounded'
import type { AttemptBudget, RevocationStore, ThrottleOptions } from '../types'

/** What attempts are counted for. */
export type Scope = 'account' | 'address'

/** How many attempts within how many seconds; without a budget nothing is counted. */
export type ThrottleSettings = Readonly<Record<Scope, Required<Budget> | undefined>>

interface Budget {
  readonly attempts: number
  readonly window: number
}

const DEFAULTS = {
  account: { attempts: 20, window: '15m' },
  address: { attempts: 200, window: '15m' }
} as const satisfies Record<Scope, AttemptBudget>

/** Reads the option `throttle`. */
export function readThrottle (throttle: ThrottleOptions | false = {}): ThrottleSettings {
  if (throttle === false) return { account: undefined, address: undefined }
  refuseUnknown('throttle', throttle, ['account', 'address'])
  return { account: readBudget('account', throttle.account), address: readBudget('address', throttle.address) }
}

function readBudget (scope: Scope, budget: AttemptBudget | false = {}): Budget | undefined {
  if (budget === false) return undefined
  refuseUnknown(`throttle.${scope}`, budget, ['attempts', 'window'])
  const { attempts, window } = { ...DEFAULTS[scope], ...budget }
  if (!Number.isInteger(attempts) || attempts < 1 || attempts > 100_000) {
    throw optionInvalid(`throttle.${scope}.attempts`, 'is not a whole number from 1 to 100000', 'Leave it out for the default')
  }
  return { attempts, window: Math.floor(readDuration(`throttle.${scope}.window`, window, '1s', '1d')) }
}

/** An attempt that may go on, and has been counted. */
export interface Attempt {
  /** The credentials were right: earlier mistakes for this name are forgotten, those from this address are not. */
  succeeded (): Promise<void>
  /** They were not judged: the attempt does not count, for an address only if it may be `repeated`. */
  spared (repeated: boolean): Promise<void>
}

/** An attempt that comes too early. */
export interface Refusal {
  readonly refused: Scope
  /** In how many seconds there is a new budget. */
  readonly retryAfter: number
}

/** Counts attempts to log in. */
export interface Throttle {
  /** Counts an attempt before anything is done for it, so that parallel guesses are counted, too. Never rejects. */
  take (username: string, address: string): Promise<Attempt | Refusal>
}

/** Where attempts are counted. */
export interface Counters {
  /** With the counters of this store, if it has any. */
  readonly store: RevocationStore & CountingStore
  /** How long they may take, in seconds. */
  readonly timeout: number
  /** Told when they fail: from then on this process counts alone. */
  tell (cause: unknown): void
}

/** The throttle of one registration. */
export function createThrottle (settings: ThrottleSettings, counters: Counters): Throttle {
  const account = counter('account', settings.account, counters)
  const address = counter('address', settings.address, counters)

  return {
    async take (username, ip) {
      const [name, network] = [digest(username), digest(networkOf(ip))]
      // The account comes first: guesses that it refuses must not use up the address, from which others may log in.
      const byAccount = await account.take(name)
      if (byAccount !== undefined) return byAccount
      const byAddress = await address.take(network)
      if (byAddress !== undefined) {
        await account.giveBack(name)
        return byAddress
      }
      return {
        async succeeded () {
          await Promise.all([account.clear(name), address.giveBack(network)])
        },
        async spared (repeated) {
          await Promise.all([account.giveBack(name), repeated && address.giveBack(network)])
        }
      }
    }
  }
}

interface Counter {
  take (key: string): Promise<Refusal | undefined>
  giveBack (key: string): Promise<void>
  clear (key: string): Promise<void>
}

const UNCOUNTED: Counter = { take: async () => undefined, giveBack: async () => {}, clear: async () => {} }

function counter (scope: Scope, budget: Budget | undefined, { store, timeout, tell }: Counters): Counter {
  if (budget === undefined) return UNCOUNTED
  const options = { keyPrefix: scope, points: budget.attempts, duration: budget.window }
  const here = new RateLimiterMemory(options)
  const everywhere = store[LIMITER]?.(options)
  let isFailing = false

  /** Asks the counters that all nodes share; while they fail, those of this process, which are better than none. */
  async function ask<Answer> (call: (limiter: RateLimiterAbstract) => Promise<Answer>): Promise<Answer> {
    if (everywhere === undefined) return await call(here)
    try {
      const answer = await within(call(everywhere), timeout)
      isFailing = false
      return answer
    } catch (cause) {
      if (cause instanceof RateLimiterRes) throw cause
      if (!isFailing) tell(cause)
      isFailing = true
      return await call(here)
    }
  }

  async function giveBack (key: string): Promise<void> {
    const { consumedPoints } = await ask((limiter) => limiter.reward(key))
    // Nothing is kept of those who owe nothing, or a flood of names that were spared would fill the memory.
    if (consumedPoints <= 0) await clear(key)
  }

  async function clear (key: string): Promise<void> {
    await ask((limiter) => limiter.delete(key))
  }

  return {
    giveBack,
    clear,

    async take (key) {
      try {
        await ask((limiter) => limiter.consume(key))
      } catch (refusal) {
        const { msBeforeNext } = refusal as RateLimiterRes
        // What was refused does not count, so that one budget cannot be used up by attempts that the other one refuses.
        await giveBack(key)
        return { refused: scope, retryAfter: Math.max(1, Math.ceil(msBeforeNext / 1000)) }
      }
    }
  }
}

/** People type passwords into the wrong field, so what they typed is not what is kept. */
function digest (text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22)
}

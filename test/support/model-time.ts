import { AsyncLocalStorage } from 'node:async_hooks'
import { isPromise } from '../../lib/awaitable'
import { timing } from '../../lib/clock'
import { VirtualTime } from './virtual-time'
import type { Awaitable } from '../../types'

/** How long a store call is waited for: a number that nobody else uses, so that a timer tells what it is for. */
export const TIMEOUT_MS = 1250

/** The time of the nodes of this process: it passes when nothing else is left to do, and what drivers really wait for takes none of it. */
export interface ModelTime {
  /** Wall time in epoch seconds: what `Date.now` says. */
  now (): number
  steady (): number
  after (seconds: number, call: () => void): void
  wait (seconds: number): Promise<void>
  /** Makes a call that really takes its time. */
  really<T> (call: () => Awaitable<T>): Awaitable<T>
  run (seconds: number): Promise<void>
  /** Whether it happens within so many seconds. */
  runUntil (hasHappened: () => boolean, seconds: number): Promise<boolean>
  /** Sets the wall clock. */
  jump (seconds: number): void
  /** Begins again where it began. */
  renew (): void
  /** Gives the process its own time back. */
  end (): void
}

/** Puts its time in place of that of the process: of the clocks, of what lib waits for, and of nothing that drivers wait for. */
export function modelTime (): ModelTime {
  const { setTimeout: set, clearTimeout: clear } = globalThis
  const { now: realNow } = Date
  const realTiming = { ...timing }
  const start = Math.floor(realNow() / 1000)
  const cancels = new Map<object, () => void>()
  let realCalls = 0
  let wake = (): void => {}
  let ahead = 0
  let time = newTime()

  function newTime (): VirtualTime {
    return new VirtualTime(start, async () => {
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve))
        if (realCalls === 0) return
        await new Promise<void>((resolve) => { wake = resolve })
      }
    })
  }

  const now = (): number => Date.now() / 1000
  const steady = (): number => time.steady()
  const after = (seconds: number, call: () => void): (() => void) => time.after(seconds, AsyncLocalStorage.bind(call))

  Date.now = () => (time.now() + ahead) * 1000
  Object.assign(timing, { now, steady, after, soon: (call: () => void) => { after(0, call) } })
  globalThis.setTimeout = Object.assign((call: () => void, ms?: number, ...rest: []) => {
    if (ms !== TIMEOUT_MS) return set(call, ms, ...rest)
    const timer = {}
    cancels.set(timer, after(ms / 1000, () => {
      cancels.delete(timer)
      call()
    }))
    return timer
  }, set) as typeof setTimeout
  globalThis.clearTimeout = ((timer: object) => {
    const cancel = cancels.get(timer)
    if (cancel === undefined) return clear(timer as NodeJS.Timeout)
    cancels.delete(timer)
    cancel()
  }) as typeof clearTimeout

  return {
    now,
    steady,
    after,
    run: (seconds) => time.run(seconds),
    runUntil: (hasHappened, seconds) => time.runUntil(hasHappened, seconds),
    jump (seconds) { ahead += seconds },

    async wait (seconds) {
      if (seconds > 0) await new Promise<void>((resolve) => { after(seconds, resolve) })
    },

    really (call) {
      const answer = call()
      if (!isPromise(answer)) return answer
      realCalls++
      return answer.finally(() => {
        if (--realCalls === 0) wake()
      })
    },

    renew () {
      time = newTime()
      ahead = 0
      cancels.clear()
    },

    end () {
      Date.now = realNow
      Object.assign(timing, realTiming)
      globalThis.setTimeout = set
      globalThis.clearTimeout = clear
    }
  }
}

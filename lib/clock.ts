import { performance } from 'node:perf_hooks'

/** What time it is, and later; an argument where tests have to run days of it in a second. Seconds throughout. */
export interface Timing {
  /** Wall time, epoch seconds: it goes on while a virtual machine is suspended. */
  now (): number
  /** Steady time: it never jumps. */
  steady (): number
  /** Calls back later; answers how to prevent it. */
  after (delay: number, call: () => void): () => void
  /** Calls back when this turn of the event loop is over. */
  soon (call: () => void): void
}

/** The time in epoch seconds, with a fraction. */
export function now (): number {
  return Date.now() / 1000
}

/** Time as it really passes. Waiting for it keeps no process alive. */
export const timing: Timing = {
  now,
  steady: () => performance.now() / 1000,
  soon: setImmediate,
  after (delay, call) {
    const timer = setTimeout(call, delay * 1000).unref()
    return () => clearTimeout(timer)
  }
}

import type { Test } from 'tap'

/** Time that moves when the test says so. */
export interface Clock {
  advance (seconds: number): void
  /** Epoch seconds. */
  now (): number
}

/** Stops the time of the process for one test. */
export function stopClock (t: Test): Clock {
  let time = Date.now()
  const real = Date.now
  Date.now = () => time
  t.teardown(() => { Date.now = real })
  return {
    advance (seconds) { time += seconds * 1000 },
    now: () => time / 1000
  }
}

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

/** Lets the steady time of the process jump for one test; between the jumps it goes on. */
export function jumpingSteadyClock (t: Test): Pick<Clock, 'advance'> {
  const real = performance.now
  let ahead = 0
  performance.now = () => real.call(performance) + ahead
  t.teardown(() => { performance.now = real })
  return { advance (seconds) { ahead += seconds * 1000 } }
}

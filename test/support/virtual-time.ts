import type { Timing } from '../../lib/clock'

/** Time that passes as fast as there is nothing to do. */
export class VirtualTime implements Timing {
  private time = 1_000_000
  /** In the order of their time, the latest first. */
  private readonly events: { readonly at: number, call: (() => void) | null }[] = []

  now (): number { return this.time }

  steady (): number { return this.time }

  soon (call: () => void): void { this.after(0, call) }

  after (delay: number, call: () => void): () => void {
    const event: typeof this.events[number] = { at: this.time + delay, call }
    let [low, high] = [0, this.events.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.events[middle] as typeof event).at > event.at) low = middle + 1
      else high = middle
    }
    this.events.splice(low, 0, event)
    return () => { event.call = null }
  }

  /** Lets everything happen that is due within so many seconds. */
  async run (seconds: number): Promise<void> {
    const end = this.time + seconds
    for (;;) {
      await settle()
      const next = this.events.at(-1)
      if (next === undefined || next.at > end) break
      this.events.pop()
      this.time = Math.max(this.time, next.at)
      next.call?.()
    }
    this.time = end
  }
}

/** Lets promises go on that wait for nothing but each other. */
async function settle (): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await null
}

/** Numbers that look random and come again for the same seed. */
export function randomOf (seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

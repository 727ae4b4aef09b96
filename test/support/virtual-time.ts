import type { Timing } from '../../lib/clock'

/** Time that passes as fast as there is nothing to do. */
export class VirtualTime implements Timing {
  /** In the order of their time, the latest first. */
  private readonly events: { readonly at: number, call: (() => void) | null }[] = []

  /** @param settle lets everything go on that waits for no time. */
  constructor (private time = 1_000_000, private readonly settle = settlePromises) {}

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
    await this.runUntil(() => false, seconds)
    this.time = end
  }

  /** Lets everything happen until something has, or within so many seconds; answers whether it has. */
  async runUntil (hasHappened: () => boolean, seconds: number): Promise<boolean> {
    const end = this.time + seconds
    for (;;) {
      await this.settle()
      if (hasHappened()) return true
      while (this.events.at(-1)?.call === null) this.events.pop()
      const next = this.events.at(-1)
      if (next === undefined || next.at > end) return false
      this.events.pop()
      this.time = Math.max(this.time, next.at)
      next.call?.()
    }
  }
}

/** Lets promises go on that wait for nothing but each other. */
async function settlePromises (): Promise<void> {
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

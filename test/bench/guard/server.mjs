import { serve } from './process.mjs'

let target

/**
 * A garbage collection between the first calls of `process.nextTick` and its compilation slows it down for as long as the process lives: in Node.js 20 by 3 µs a
 * request. Chance would decide which servers that happens to, so it is compiled before anything else.
 */
function compileNextTick () {
  return new Promise((resolve) => {
    let left = 20_000
    const tick = () => left-- > 0 ? process.nextTick(tick) : resolve()
    tick()
  })
}

/** One server: it opens a target, tells how to reach it, and what it used of its core. */
serve({
  async open ({ module, settings }) {
    await compileNextTick()
    const { open } = await import(`./targets/${module}.mjs`)
    const { close, revoke, ...rest } = await open(settings)
    target = { close, revoke }
    return rest
  },

  async revoke () {
    await target.revoke()
  },

  used () {
    const { user, system } = process.cpuUsage()
    return { user, system, rss: process.memoryUsage.rss() }
  },

  async close () {
    await target?.close()
  }
})

import { setImmediate } from 'node:timers/promises'
import { serve } from './process.mjs'

let target

/**
 * A garbage collection between the first calls of `process.nextTick` and its compilation slows it down for as long as the process lives: in Node.js 20 by 3 µs a
 * request. Every real application has one while it starts; a bare server may be spared by chance, and would win by that.
 */
async function settle () {
  for (let times = 0; times < 100; times++) process.nextTick(() => {})
  await setImmediate()
  globalThis.gc()
}

/** One server: it opens a target, tells how to reach it, and what it used of its core. */
serve({
  async open ({ module, settings }) {
    await settle()
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

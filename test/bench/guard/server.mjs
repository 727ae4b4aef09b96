import { serve } from './process.mjs'

let target

/** One server: it opens a target, tells how to reach it, and what it used of its core. */
serve({
  async open ({ module, settings }) {
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

import { createHook } from 'node:async_hooks'
import { serve } from './process.mjs'

let target
/** What must not be collected. */
const kept = []

/**
 * Keeps one of the objects that `process.nextTick` makes. A garbage collection that finds none of them makes V8 forget what they look like, and under Node.js 20
 * it then makes each the slow way for as long as the process lives: 2 to 3 µs a request. Chance would decide which servers that happens to.
 */
function keepTickObject () {
  const hook = createHook({
    init (_id, type, _trigger, resource) {
      if (type === 'TickObject') kept.push(resource)
    }
  }).enable()
  process.nextTick(() => {})
  hook.disable()
}

keepTickObject()

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

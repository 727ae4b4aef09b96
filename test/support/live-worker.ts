// Runs schedules of the simulation in a thread of its own, where nothing looks at every promise.
import { parentPort } from 'node:worker_threads'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { liveSessions } from '../../lib/stores/live'
import { simulate } from './live-simulation'

/** Schedules to run, until one goes wrong, on the code as it stands or on other code in its place. */
export interface Schedules { readonly first: number, readonly last: number, readonly code?: string }

/** The first schedule that goes wrong, and how. */
export interface Finding { readonly seed: number, readonly violation: string }

async function run ({ first, last, code }: Schedules): Promise<Finding | undefined> {
  const make = code === undefined ? liveSessions : load(code)
  for (let seed = first; seed <= last; seed++) {
    const [violation] = await simulate(make, seed)
    if (violation !== undefined) return { seed, violation }
  }
  return undefined
}

function load (code: string): typeof liveSessions {
  const module = { exports: {} as { liveSessions: typeof liveSessions } }
  const require = createRequire(join(__dirname, '../../lib/stores/live.ts'))
  // eslint-disable-next-line no-new-func
  new Function('require', 'module', 'exports', code)(require, module, module.exports)
  return module.exports.liveSessions
}

parentPort?.on('message', (schedules: Schedules) => {
  run(schedules).then((finding) => parentPort?.postMessage(finding), (error: unknown) => { throw error })
})

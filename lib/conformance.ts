import assert from 'node:assert/strict'
import { withBench, type Chapter } from './conformance/bench'
import { absence } from './conformance/absence'
import { concurrency } from './conformance/concurrency'
import { expiry } from './conformance/expiry'
import { fidelity } from './conformance/fidelity'
import { lists } from './conformance/lists'
import { names } from './conformance/names'
import { prune } from './conformance/prune'
import { reads } from './conformance/reads'
import { revocation } from './conformance/revocation'
import { watch } from './conformance/watch'
import { writes } from './conformance/writes'
import type { Awaitable, RevocationStore } from '../types'

export { faultyStore, type Fault, type FaultPlan, type StoreCall } from './conformance-faults'

/** What the kit has to know about the store that it proves. */
export interface ConformanceOptions {
  /**
   * Answers a fresh handle on the storage, as one node of an application would hold it. Every handle MUST be on the **same**
   * storage, which MUST be empty at first and used by nobody else. The kit opens several handles for each test and closes them
   * at its end. A store that lives in one process may answer the same object each time.
   */
  open (): Awaitable<RevocationStore>
  /** Closes a handle. The store's own `close`, if it has one, unless given; whatever else `open` opened belongs in here. */
  close? (store: RevocationStore): Awaitable<void>
  /**
   * Whether `watch` is proven. `true`: a handle without it fails; `false`: its tests are left out. Unless given, it is proven
   * when a handle has it, and its tests pass without proving anything when not: say `true` when you offer it.
   */
  watch?: boolean
  /** Whether `prune` is proven, in the same way. */
  prune?: boolean
  /** How many handles a test opens: a whole number from 2 on, 3 unless given. */
  handles?: number
  /** How often a race is run: a whole number from 1 on, 25 unless given. More finds rarer faults. */
  rounds?: number
  /** How long a test may take, in milliseconds: at least 5000, 10 000 unless given. A test that takes longer fails. */
  timeoutMs?: number
}

/** One promise of the interface, and its proof. */
export interface ConformanceTest {
  /** The promise, as a sentence. Every name is there once. */
  readonly name: string
  /** Resolves when the store keeps the promise, rejects with what it did instead. Needs no other test to have run. */
  run (): Promise<void>
}

/**
 * The tests that prove a `RevocationStore`, for any runner: each is a name and a function. They need no order and no clean
 * storage between them, since each makes sessions of its own, and may run at once. They cannot prove what happens when the server behind the store
 * fails: that a call rejects or settles in time then, rather than answering that nothing is there, is for tests of your own.
 * @throws `AssertionError` when an option is not valid.
 * @example
 * ```ts
 * import { test } from 'node:test'
 * import { conformanceTests } from 'fastify-jwt-session/conformance'
 *
 * const storage = await emptyDatabase() // yours: isolated and empty
 * for (const { name, run } of conformanceTests({ open: () => myStore(storage.connect()) })) test(name, run)
 * ```
 */
export function conformanceTests (options: ConformanceOptions): ConformanceTest[] {
  const {
    open, handles = 3, rounds = 25, timeoutMs = 10_000, close = (store: RevocationStore) => store.close?.()
  } = options
  assert.equal(typeof open, 'function', 'open must be a function that answers a handle')
  assert.ok(Number.isInteger(handles) && handles >= 2, 'handles must be a whole number from 2 on')
  assert.ok(Number.isInteger(rounds) && rounds >= 1, 'rounds must be a whole number from 1 on')
  assert.ok(timeoutMs >= 5000 && timeoutMs < 2 ** 31, 'timeoutMs must be at least 5000')

  const promises = (chapter: Chapter, power?: 'watch' | 'prune'): ConformanceTest[] =>
    Object.entries(chapter).map(([name, prove]) => ({
      name,
      run: () => withBench({ open, close, handles, rounds, timeoutMs }, async (bench) => {
        if (power === undefined || bench.nodes[0][power] !== undefined) return await prove(bench)
        assert.notEqual(options[power], true, `The handle has no ${power}`)
      })
    }))

  // Whoever prunes deletes what other tests have written to be pruned, so these wait for each other if the runner does not.
  let latest: Promise<unknown> = Promise.resolve()
  const inTurn = ({ name, run }: ConformanceTest): ConformanceTest => ({
    name,
    run () {
      const result = latest.then(run)
      latest = result.catch(() => {})
      return result
    }
  })

  const required = [absence, writes, concurrency, reads, lists, revocation, fidelity, names, expiry]
  return [
    ...required.flatMap((chapter) => promises(chapter)),
    ...(options.prune === false ? [] : promises(prune, 'prune').map(inTurn)),
    ...(options.watch === false ? [] : promises(watch, 'watch'))
  ]
}

import type { RevocationStore } from '../../types'

/** What may go wrong with one call of the store. */
export type Fault = 'none' | 'rejected before' | 'rejected after' | 'crashed before' | 'crashed after'

const NO_FAULT: readonly Fault[] = ['none']

interface Pending {
  actor: string
  method: 'read' | 'write' | 'list'
  run (): unknown
  resolve (answer: unknown): void
  reject (error: Error): void
}

/** One way through a race: which pending call came next, and what became of it. */
export interface Trace {
  steps: { actor: string, method: string, fault: Fault }[]
}

interface Choice { taken: number, of: number }

/** A store whose calls wait until the explorer lets them happen, one at a time. */
export class StepStore {
  readonly pending: Pending[] = []

  constructor (private readonly inner: RevocationStore) {}

  /** The same store, as one actor of the race sees it. */
  as (actor: string): RevocationStore {
    const ask = (method: Pending['method'], run: () => unknown) => new Promise<never>((resolve, reject) => {
      this.pending.push({ actor, method, run, resolve: resolve as Pending['resolve'], reject })
    })
    return {
      read: (refs) => ask('read', () => this.inner.read(refs)),
      write: (record, expected) => ask('write', () => this.inner.write(record, expected)),
      list: (subject) => ask('list', () => this.inner.list(subject))
    }
  }
}

/**
 * Runs a race in every order that its store calls can happen in, and with at most one fault in every place that one can happen
 * in. The race is started anew for each, so it must be deterministic but for the store.
 * @param race starts the actors on the store, and answers a check of how it ended.
 * @returns the number of ways.
 */
export async function explore (
  makeStore: () => RevocationStore,
  race: (store: StepStore, inner: RevocationStore) => (trace: Trace) => void | Promise<void>,
  faults: readonly Fault[] = NO_FAULT
): Promise<number> {
  let choices: Choice[] = []
  for (let ways = 1; ; ways++) {
    const inner = makeStore()
    const store = new StepStore(inner)
    const trace: Trace = { steps: [] }
    const check = race(store, inner)
    let depth = 0
    let isFaulty = false
    await settle()
    while (store.pending.length > 0) {
      const allowed: readonly Fault[] = isFaulty ? NO_FAULT : faults
      const options: { call: Pending, fault: Fault }[] = store.pending.flatMap((call) =>
        (call.method === 'write' ? allowed : NO_FAULT).map((fault) => ({ call, fault })))
      choices[depth] ??= { taken: 0, of: options.length }
      const { call, fault } = options[(choices[depth] as Choice).taken] as typeof options[number]
      depth++
      isFaulty ||= fault !== 'none'
      trace.steps.push({ actor: call.actor, method: call.method, fault })
      store.pending.splice(store.pending.indexOf(call), 1)
      perform(call, fault)
      await settle()
    }
    await check(trace)

    choices = choices.slice(0, depth)
    while (choices.length > 0 && (choices.at(-1) as Choice).taken + 1 >= (choices.at(-1) as Choice).of) choices.pop()
    const last = choices.at(-1)
    if (last === undefined) return ways
    last.taken++
  }
}

function perform (call: Pending, fault: Fault): void {
  if (fault === 'crashed before') return
  if (fault === 'rejected before') return call.reject(new Error('the store did not hear'))
  const answer = call.run()
  if (fault === 'crashed after') return
  if (fault === 'rejected after') return call.reject(new Error('the answer was lost'))
  call.resolve(answer)
}

/** Lets everything happen that waits for nothing but promises. */
function settle (): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

import type { Test } from 'tap'
import { fuzzesOf, type Fuzz } from './fuzzes'
import { worldOf, type Tally } from './world'

/** So many cases have one world: with more, its tokens would be those of long ago. */
const ROUND = 20_000

/** What a run is asked for, in the environment. */
export interface Plan {
  readonly cases: number
  readonly seed: number
  /** As it was printed at a failure: only that case of the promise of this name is tried. */
  readonly path: string | undefined
  readonly only: string | undefined
}

export function planOf ({ FUZZ_CASES, FUZZ_SEED, FUZZ_PATH, FUZZ_ONLY }: NodeJS.ProcessEnv, usual: Pick<Plan, 'cases' | 'seed'>): Plan {
  return { cases: Number(FUZZ_CASES ?? usual.cases), seed: Number(FUZZ_SEED ?? usual.seed), path: FUZZ_PATH, only: FUZZ_ONLY }
}

/** Goes through all cases, round by round, each over new applications; answers how these answered. @param tell hears of each part that held, with the number of its cases. */
export async function runRounds ({ cases, seed, path, only }: Plan, tell: (name: string, count: number) => void): Promise<Tally> {
  const tally: Tally = new Map()
  for (let done = 0, round = 0; done < cases; done += ROUND, round++) {
    const size = Math.min(ROUND, cases - done)
    const undo: (() => unknown)[] = []
    const world = await worldOf({ teardown: ((call: () => unknown) => { undo.push(call) }) as Test['teardown'] }, tally)
    try {
      const fuzzes = fuzzesOf(world).filter(({ name }) => only === undefined || name === only)
      const whole = fuzzes.reduce((sum, { share }) => sum + share, 0)
      for (const fuzz of fuzzes) {
        const numRuns = Math.max(1, Math.round(size * fuzz.share / whole))
        await holds(fuzz, { seed: seed + round, numRuns, ...(path === undefined ? {} : { path }) })
        tell(fuzz.name, numRuns)
      }
    } finally {
      for (const call of undo.reverse()) await call()
    }
  }
  return tally
}

async function holds ({ name, run }: Fuzz, parameters: Parameters<Fuzz['run']>[0]): Promise<void> {
  try {
    await run(parameters)
  } catch (error) {
    const path = /path: "([^"]*)"/.exec(String(error))?.[1] ?? ''
    throw new Error(`${name}: ${String((error as Error).cause)}\n${String(error)}\n\nAgain: FUZZ_ONLY='${name}' FUZZ_SEED=${parameters.seed} FUZZ_PATH=${path} npm run fuzz`)
  }
}

// A million hostile cases, or as many as FUZZ_CASES says. `npm run fuzz`
import { planOf, runRounds } from './rounds'

/** So often it is said how far it is, in milliseconds. */
const PACE = 10_000

async function main (): Promise<void> {
  const plan = planOf(process.env, { cases: 1_000_000, seed: Math.floor(Math.random() * 2 ** 31) })
  const start = performance.now()
  const counts = new Map<string, number>()
  let cases = 0
  let told = start
  const seconds = (): string => `${Math.round((performance.now() - start) / 1000)} s`
  console.log(`${plan.cases} cases with seed ${plan.seed}`)
  const tally = await runRounds(plan, (name, count) => {
    counts.set(name, (counts.get(name) ?? 0) + count)
    cases += count
    if (performance.now() - told < PACE) return
    told = performance.now()
    console.log(`${cases} cases, ${seconds()}, ${Math.round(process.memoryUsage().heapUsed / 2 ** 20)} MiB of heap`)
  })
  console.log('| promise | cases |\n| --- | ---: |')
  for (const [name, count] of counts) console.log(`| ${name} | ${count} |`)
  console.log(`\nAnswers: ${Array.from(tally).sort(([one], [other]) => one - other).map(([status, count]) => `${count} of ${status}`).join(', ')}.`)
  console.log(`${cases} cases hold, with seed ${plan.seed}, in ${seconds()}. Node.js ${process.version}.`)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})

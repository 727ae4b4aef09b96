import t from 'tap'
import { planOf, runRounds } from './rounds'

const plan = planOf(process.env, { cases: 10_000, seed: 20_260_101 })

t.setTimeout(180_000)

t.test(`${plan.cases} hostile cases`, async (t) => {
  const tally = await runRounds(plan, (name, count) => { t.pass(`${name}: ${count}`) })
  if (plan.only !== undefined) return
  // Cases that are all refused for one reason would prove little.
  for (const status of [200, 400, 401, 403, 404, 409, 413, 415]) t.ok((tally.get(status) ?? 0) > 0, `some are answered by ${status}`)
})

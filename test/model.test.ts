import fc from 'fast-check'
import t, { type Test } from 'tap'
import { histories, NODES, outsideHistories, type Step } from './support/model-history'
import { insideCluster } from './support/model-nodes'
import { play, type Story } from './support/model-play'
import { outsideClusters } from './support/model-processes'
import { serverKinds } from './support/model-servers'
import type { Cluster } from './support/model-cluster'

const { MODEL_HISTORIES, MODEL_ON = '', MODEL_SEED, MODEL_PATH, npm_lifecycle_event: script } = process.env

/** How many histories are played on memory. */
const HISTORIES = Number(MODEL_HISTORIES ?? (script === 'model' ? 20_000 : 100))
const ON_SERVERS = Math.min(HISTORIES, Math.max(50, Math.ceil(HISTORIES / 20)))
const ON_PROCESSES = Math.max(5, Math.ceil(HISTORIES / 100))

const ROTATIONS = ['strict', 'tolerant'] as const
const HOUR = 3600

/** A machine on which that many histories take longer plays fewer of them, and what is wrong is told before the test is killed. */
const LIMIT_MS = 60_000 + 100 * HISTORIES

/** Nodes that can begin anew with every history. */
type Renewable = Cluster & { renew (): Promise<void> }

t.setTimeout(120_000 + 20 * LIMIT_MS)

for (const kind of serverKinds) {
  for (const rotation of ROTATIONS) {
    const name = `${kind.name}, ${rotation}`
    if (!name.startsWith(MODEL_ON)) continue
    t.test(name, async (t) => {
      const skip = await kind.skipReason()
      await t.test('whatever happens, every answer is one that the policy allows', { skip }, async (t) => {
        const cluster = await insideCluster(await kind.open(NODES), { rotation, idleTimeout: 2 * HOUR, absoluteTimeout: 5 * HOUR })
        t.teardown(() => cluster.close())
        await hold(t, name, histories, kind.isHere ? HISTORIES : ON_SERVERS, cluster)
      })
    })
  }
}

for (const kind of serverKinds.filter(({ name }) => name === 'redis (ioredis)' || name === 'postgresql')) {
  const names = ROTATIONS.map((rotation) => [rotation, `processes on ${kind.name}, ${rotation}`] as const).filter(([, name]) => name.startsWith(MODEL_ON))
  if (names.length === 0) continue
  t.test(`processes on ${kind.name}`, async (t) => {
    const skip = await kind.skipReason()
    await t.test('whatever happens, every answer is one that the policy allows', { skip }, async (t) => {
      const clusterOf = await outsideClusters(t, kind.name)
      for (const [rotation, name] of names) await hold(t, name, outsideHistories, ON_PROCESSES, clusterOf(rotation))
    })
  })
}

/** Plays histories until one goes wrong, and tells the shortest that still does. */
async function hold (t: Test, name: string, some: fc.Arbitrary<readonly Step[]>, numRuns: number, cluster: Renewable): Promise<void> {
  const wrong = new Map<string, Story>()
  let unclear = 0
  const property = fc.asyncProperty(some, async (history) => {
    await cluster.renew()
    const story = await play(cluster, history)
    if (story.isUnclear) unclear++
    if (story.failure === undefined) return true
    // Should it take too long to find a shorter one, this is all that there is to go by.
    if (wrong.size === 0) t.comment([`First seen on ${name}:`, ...story.lines, `WRONG: ${story.failure}`].join('\n'))
    wrong.set(fc.stringify(history), story)
    return false
  })
  const details = await fc.check(property, {
    numRuns, interruptAfterTimeLimit: LIMIT_MS, ...(MODEL_SEED === undefined ? {} : { seed: Number(MODEL_SEED) }), ...(MODEL_PATH === undefined ? {} : { path: MODEL_PATH })
  })
  if (!details.failed) {
    t.ok(unclear <= Math.max(2, details.numRuns / 10), `${name}: ${details.numRuns} histories, ${unclear} of them not judged to the end`)
    return
  }
  const story = wrong.get(fc.stringify(details.counterexample?.[0]))
  if (story === undefined) throw details.errorInstance
  t.comment([`On ${name}, one line for each step:`, ...story.lines, `WRONG: ${story.failure}`].join('\n'))
  t.comment(`Again: MODEL_ON='${name}' MODEL_SEED=${details.seed} MODEL_PATH=${details.counterexamplePath} npx tap --disable-coverage test/model.test.ts`)
  t.fail(`history ${details.numRuns}: ${story.failure}`)
}

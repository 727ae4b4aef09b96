// Hours of mixed traffic over nodes and stores that fail: `npm run soak -- --minutes 60 --seed 1`. A line for each minute, a table
// at the end, and the code 1 if anything was not as it has to be. What has to be is in ledger.ts and health.ts.
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { bcryptPasswords } from 'fastify-jwt-session'
import { SECRET } from '../support/app'
import { closeIn, closingStates, USER } from '../support/closing'
import { numbers } from '../support/numbers'
import { startNode, type SessionNode } from '../support/session-nodes'
import { postgresOf, redisOf, type StoreServer } from '../support/store-server'
import { trouble } from './faults'
import { healthTable, judgeHistory, type History } from './health'
import { Ledger, type Place } from './ledger'
import { talk } from './traffic'
import type { NodeOptions } from '../support/session-node'

const { values: { minutes: length, seed } } = parseArgs({ options: { minutes: { type: 'string', default: '60' }, seed: { type: 'string', default: '1' } } })
const MINUTE = 60_000
const DURATION = Number(length) * MINUTE
/** A server that needs so long for nothing is on a machine that is too busy to be judged. */
const SLOW_MS = 400

/** Things that exclude each other, in the order in which they come. */
function turns (): <T>(act: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (act) => {
    const turn = last.then(act)
    last = turn.catch(() => {})
    return turn
  }
}

interface Side {
  readonly place: Place
  readonly server: StoreServer
  readonly nodes: SessionNode[]
  readonly clients: readonly NodeOptions['client'][]
  readonly alone: ReturnType<typeof turns>
  /** Requests are held back while there is one. */
  quiet: Promise<void> | undefined
  underWay: number
}

async function main (): Promise<void> {
  const teardowns: (() => unknown)[] = []
  const owner = { teardown (task: () => unknown) { teardowns.push(task) } } as unknown as Parameters<typeof redisOf>[0]
  const ledger = new Ledger()
  const random = numbers(Number(seed))
  let isStopped = false
  process.once('SIGINT', () => { isStopped = true })
  const start = Date.now()
  const isOver = () => isStopped || Date.now() - start > DURATION

  try {
    const passwords = bcryptPasswords({ cost: 8 })
    const passwordHash = await passwords.hash(USER.password)
    await passwords.close()
    const postgres = await postgresOf(owner)
    const redis = await redisOf(owner)
    if (postgres === undefined) throw new Error('The soak needs PostgreSQL on this machine')
    const optionsFor = (side: Side, count: number): NodeOptions =>
      ({ client: side.clients[count % side.clients.length] as NodeOptions['client'], url: side.server.url, secret: SECRET, passwordHash })
    const sides: Side[] = ([['redis', redis, ['ioredis', 'node-redis']], ['postgres', postgres, ['pg', 'pg']]] as const)
      .map(([place, server, clients]) => ({ place, server, clients, nodes: [], alone: turns(), quiet: undefined, underWay: 0 }))
    const histories: (History & { readonly node: SessionNode })[] = []
    for (const side of sides) {
      for (const [count, client] of side.clients.entries()) {
        const node = startNode('--expose-gc')
        teardowns.push(() => node.kill())
        node.died.then((how) => ledger.violate(how))
        await node.open(optionsFor(side, count))
        side.nodes.push({ ...node, call: counted(side, node) })
        histories.push({ name: `${client} ${count + 1}`, node, samples: [] })
      }
    }
    console.log(`Soaking for ${length} minutes with seed ${seed}`)
    await pause(2000)

    const talking = sides.map((side, index) => talk({
      ...side, ledger, random: numbers(Number(seed) + 1000 * index), isOver, gate: async () => { while (side.quiet !== undefined) await side.quiet }
    }))
    const troubling = sides.map((side, index) => trouble({
      ...side, ledger, random: numbers(Number(seed) + 1000 * index + 1), isOver, options: () => optionsFor(side, Math.floor(2 * random())), pauseMs: Math.min(MINUTE, DURATION / 20)
    }))
    const watching = sides.map((side) => watchMachine(side, ledger, isOver))
    const interval = Math.min(MINUTE, DURATION / 12)
    for (let next = start + interval; !isOver(); next += interval) {
      while (Date.now() < next && !isOver()) await pause(100)
      for (const [index, side] of sides.entries()) {
        await side.alone(() => quietly(side, async () => {
          for (const history of histories.slice(2 * index, 2 * index + 2)) history.samples.push(await history.node.vitals())
        }))
      }
      report(start, ledger, histories)
    }
    await Promise.all([...talking, ...troubling, ...watching])

    // The end: each of the four in another state.
    const last = ['while logins hash and wait to be hashed', 'while the store stands still and requests wait for it', 'while the store is down and logins hash', 'idle and subscribed']
    for (const [index, history] of histories.entries()) {
      const state = closingStates.find(({ name }) => name === last[index]) as typeof closingStates[number]
      const { ms, problems } = await closeIn(state, history.node, (sides[index >> 1] as Side).server)
      for (const problem of problems) ledger.violate(`${history.name}, closed ${state.name}: ${problem}`)
      ledger.closed(state.name, ms)
      const { troubles } = await history.node.vitals()
      for (const trouble of new Set(troubles)) ledger.violate(`${history.name}: ${trouble}`)
      const code = await history.node.leave(10_000)
      if (code !== 0) ledger.violate(`${history.name}: the process ended with ${code}`)
      if (history.node.stderr() !== '') ledger.violate(`${history.name} wrote: ${history.node.stderr()}`)
    }
    for (const history of histories) judgeHistory(history, ledger)
    conclude(ledger, histories)
  } finally {
    for (const task of teardowns.reverse()) await task()
  }
  process.exitCode = ledger.violations.length === 0 ? 0 : 1
}

function counted (side: Side, node: SessionNode): SessionNode['call'] {
  return async (...call) => {
    side.underWay++
    return await node.call(...call).finally(() => { side.underWay-- })
  }
}

/** Does something at a moment at which no request is under way. */
async function quietly (side: Side, act: () => Promise<void>): Promise<void> {
  let end = (): void => {}
  side.quiet = new Promise((resolve) => { end = resolve })
  while (side.underWay > 0) await pause(20)
  await pause(300)
  await act().finally(() => {
    side.quiet = undefined
    end()
  })
}

/** Excuses a store whose answer to nothing at all takes too long, outside of faults, and says how often. */
async function watchMachine ({ place, server }: Side, ledger: Ledger, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    await pause(250)
    const from = Date.now()
    const isAnswered = await Promise.race([server.ping().then(() => true, () => false), pause(SLOW_MS, false, { ref: false })])
    if (isAnswered && Date.now() - from < SLOW_MS) continue
    const isKnown = ledger.isExcused(place, from)
    const close = ledger.openWindow(place, from - 1000)
    if (!isKnown) ledger.note(`${place}: the machine was too busy to be judged`)
    if (!isAnswered) await server.ping().catch(() => {})
    close()
  }
}

function report (start: number, ledger: Ledger, histories: readonly History[]): void {
  const heaps = histories.map(({ samples }) => ((samples.at(-1)?.heap ?? 0) / 1e6).toFixed(1))
  const refused = Array.from(ledger.rows.values()).reduce((sum, { statuses }) => sum + (statuses.get('503 STORE_UNAVAILABLE') ?? 0), 0)
  console.log(`${((Date.now() - start) / MINUTE).toFixed(1)} min: ${ledger.requests} requests, ${refused} of them 503; heaps ${heaps.join(' ')} MB; ${ledger.violations.length} violations`)
}

function conclude (ledger: Ledger, histories: readonly History[]): void {
  console.log(`\n${ledger.table()}\n\n${healthTable(histories)}\n`)
  for (const [name, count] of Array.from(ledger.notes).sort()) console.log(`${count} × ${name}`)
  for (const [state, times] of ledger.closes) console.log(`closed ${state}: ${times.length} times, at most ${Math.round(Math.max(...times))} ms`)
  for (const { name, samples } of histories) console.log(`${name} logged: ${JSON.stringify(samples.at(-1)?.logged)}`)
  const late = ledger.lateness.sort((one, other) => one - other)
  console.log(`${late.length} times another node was asked at once about a session that had just ended: let in ${late.filter((ms) => ms > 0).length} times, for at most ${late.at(-1)} ms`)
  console.log(`\n${ledger.requests} requests, ${ledger.violations.length} violations`)
  for (const violation of ledger.violations.slice(0, 20)) console.log(violation)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})

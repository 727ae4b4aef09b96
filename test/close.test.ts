import { setTimeout as pause } from 'node:timers/promises'
import { hashSync } from 'bcryptjs'
import t, { type Test } from 'tap'
import { SECRET } from './support/app'
import { closeIn, closingStates, USER } from './support/closing'
import { installed } from './support/redis-server'
import { startNode, type SessionNode } from './support/session-nodes'
import { postgresOf, redisOf, type StoreServer } from './support/store-server'
import type { NodeOptions, Vitals } from './support/session-node'

// Processes and servers start, on machines that may be slow.
t.setTimeout(180_000)

/** Of the password of all users, at the least cost. */
const passwordHash = hashSync(USER.password, 8)

/** Longer than a subscription pauses between two attempts. */
const LONGEST_PAUSE_MS = 1500

/** One process opens and closes an application in each state, and ends. */
async function closesInEveryState (t: Test, server: StoreServer, client: NodeOptions['client']): Promise<void> {
  const node = startNode()
  t.teardown(() => node.kill())
  const before = await node.vitals()
  for (const state of closingStates) {
    await t.test(state.name, async (t) => {
      await node.open({ client, url: server.url, secret: SECRET, passwordHash, storeTimeout: '300ms', lookupMs: state.lookupMs ?? 1 })
      const { problems } = await closeIn(state, node, server)
      t.same(problems, [])
      const left = await settled(node, before)
      t.same(left.troubles, [], 'nothing is left unhandled, and nothing is warned of')
      t.equal(left.sockets, before.sockets, 'no socket is left')
      t.equal(left.timers, before.timers, 'no timer is left that keeps a process alive')
    })
  }
  const { dialed } = await node.vitals()
  await pause(LONGEST_PAUSE_MS)
  t.equal((await node.vitals()).dialed, dialed, 'nothing goes on connecting in the background')
  t.equal(await node.leave(5000), 0, 'the process ends by itself')
  t.equal(node.stderr(), '')
}

/** The vitals, once all that had to end has ended; or what they are when that took too long. */
async function settled (node: SessionNode, before: Vitals): Promise<Vitals> {
  for (let tries = 0; ; tries++) {
    const vitals = await node.vitals()
    if (tries === 60 || (vitals.sockets === before.sockets && vitals.timers === before.timers)) return vitals
    await pause(50)
  }
}

const promise = 'closing settles, answers what is under way and leaves nothing'

// Most of the time is spent on waiting, so they wait together.
t.jobs = 3

for (const client of ['ioredis', 'node-redis'] as const) {
  t.test(`${promise}: ${client}`, { buffered: true, skip: installed.length === 0 && 'no redis-server' }, async (t) => {
    await closesInEveryState(t, await redisOf(t), client)
  })
}

t.test(`${promise}: pg`, { buffered: true }, async (t) => {
  const server = await postgresOf(t)
  if (server === undefined && !process.env.CI) return t.plan(0, 'no server can be started here')
  await closesInEveryState(t, server as StoreServer, 'pg')
})

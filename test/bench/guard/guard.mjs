import { get } from 'node:http'
import { parseArgs } from 'node:util'
import { canPin, startProcess } from './process.mjs'
import { print } from './guard-table.mjs'
import { folder } from './report.mjs'
import { randomFrom, shuffled } from './statistics.mjs'
import { SECRET, TOKENS } from './settings.mjs'
import { createApp } from './targets/jwt-session.mjs'
import { targets } from './targets/index.mjs'

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '1' },
    starts: { type: 'string', default: '1' },
    connections: { type: 'string', default: '64' },
    seed: { type: 'string', default: String(Date.now() % 1e6) },
    only: { type: 'string', default: '' },
    nice: { type: 'string' },
    awake: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    keys: { type: 'boolean', default: false },
    peers: { type: 'boolean', default: false }
  }
})
const [rounds, seconds, starts, connections, seed] =
  [flags.rounds, flags.seconds, flags.starts, flags.connections, flags.seed].map(Number)
const nice = flags.nice === undefined ? undefined : Number(flags.nice)
const random = randomFrom(seed)

/** Some servers would come to their full young generation sooner than others. */
const EQUAL_FLAGS = ['--min-semi-space-size=16', '--max-semi-space-size=16']

const groups = ['short', ...flags.keys ? ['keys'] : [], ...flags.peers ? ['peers'] : []]
const wanted = targets.filter(({ name, group }) => groups.includes(group) && new RegExp(flags.only, 'i').test(name))

/** Tokens as this package issues them, for all servers that can verify them: so all get the same headers. */
async function sharedTokens () {
  const { app, tokens } = await createApp({ algorithm: 'HS256', key: SECRET, sessions: TOKENS + 1 })
  const [token] = tokens.splice(-1)
  const revoked = { token, id: app.jwtSession.decode(token).claims.sid }
  await app.close()
  return { tokens, revoked }
}

function statusOf (port, line) {
  const [name, value] = line === undefined ? [] : line.split(/: (.*)/s)
  return new Promise((resolve, reject) => {
    const request = get({ port, host: '127.0.0.1', path: '/protected', agent: false, headers: name === undefined ? {} : { [name]: value } })
    request.on('response', (response) => response.resume().on('end', () => resolve(response.statusCode))).on('error', reject)
  })
}

/** Nothing is timed that lets the wrong ones in. */
async function prove ({ name, server, port, valid, forged, revoked, isOpen }) {
  async function expect (what, line, status) {
    const answered = await statusOf(port, line)
    if (answered !== status) throw new Error(`${name} answered ${answered} instead of ${status} to ${what}`)
  }
  await expect('a valid token', valid[0], 200)
  if (isOpen) return
  await expect('no token', undefined, 401)
  await expect('a forged token', forged, 401)
  if (revoked === undefined) return
  await expect('a token that is yet to be revoked', revoked, 200)
  await server.ask('revoke')
  await expect('a revoked token', revoked, 401)
}

/** The servers that could be started and proven; the reasons of the others go into `skipped`. */
async function start (shared, skipped) {
  const running = []
  for (const target of wanted) {
    const file = `${target.name.replaceAll(/\W+/g, '-')}.cpuprofile`
    const profiling = flags.profile ? ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${file}`] : []
    const server = startProcess('server.mjs', { core: 0, nice, flags: [...EQUAL_FLAGS, ...profiling] })
    try {
      const opened = await server.ask('open', { module: target.module, settings: { ...shared, ...target.settings } })
      running.push({ ...target, ...opened, server, count: 4000 })
    } catch (error) {
      await server.stop()
      if (!target.isOptional) throw error
      skipped[target.name] = error.message.split(/\n|\. /)[0]
      continue
    }
    await prove(running.at(-1))
  }
  return running
}

/** Lets a server's code become fast, and a slow one not take too long over it. */
async function warm (load, target) {
  let answers = 0
  for (let times = 0; times < 6 && answers < 20_000; times++) answers += (await burst(load, target, 0.5)).answers
}

async function burst (load, target, duration) {
  const { server, port, valid, unseen, settings, count } = target
  await load.ask('prepare', { port, lines: valid, connections, count, ...unseen && { unseen: { algorithm: unseen, key: settings.key } } })
  const before = await server.ask('used')
  const { answers, failures, elapsed, rate, p99, cpu } = await load.ask('run', { seconds: duration, isRepeating: unseen === undefined, isAwake: flags.awake })
  const { user, system, rss } = await server.ask('used')
  if (failures > 0 || answers === 0) throw new Error(`${target.name}: ${failures} of ${answers} answers were no success`)
  // As many new tokens as it may need next time, and a quarter more.
  if (unseen !== undefined) target.count = Math.ceil(rate * seconds * 1.25) + connections
  const used = user - before.user + system - before.system
  return {
    rate,
    p99,
    rss,
    answers,
    cpu: used / answers,
    userCpu: (user - before.user) / answers,
    serverShare: used / elapsed / 1000,
    loadShare: cpu / elapsed / 1000
  }
}

const bursts = Object.fromEntries(wanted.map(({ name }) => [name, []]))
const skipped = {}
const shared = await sharedTokens()
for (let number = 0; number < starts; number++) {
  const load = startProcess('load.mjs', { core: 1, nice })
  const running = await start(shared, skipped)
  try {
    for (const target of running) await warm(load, target)
    for (let round = 0; round < rounds; round++) {
      for (const target of shuffled(running, random)) bursts[target.name].push(await burst(load, target, seconds))
      if (process.stderr.isTTY) process.stderr.write(`\rround ${number * rounds + round + 1} of ${starts * rounds} `)
    }
  } finally {
    await Promise.all([load, ...running.map(({ server }) => server)].map((child) => child.stop()))
  }
}
print({ bursts, skipped, flags: { ...flags, seed, isPinned: canPin, tokenLength: shared.tokens[0].length } })

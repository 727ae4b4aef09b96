// Whether the time of a refused login tells known names from unknown ones. `npm run bench:timing`
import http from 'node:http'
import { availableParallelism } from 'node:os'
import { performance } from 'node:perf_hooks'
import { hash } from 'bcryptjs'
import Fastify from 'fastify'
// The package as it is published, because threads do not load TypeScript.
import jwtSession, { type SessionUser } from 'fastify-jwt-session'

const NAMES = 20
const ROUNDS = 20
/** Beyond so many standard errors the time is taken to tell something: chance does that once in 400. */
const BOUND = 3

interface Answer { ms: number, told: string }

async function login (agent: http.Agent, port: number, username: string): Promise<Answer> {
  const body = JSON.stringify({ username, password: 'wrong password' })
  const start = performance.now()
  return await new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': body.length }
    const request = http.request({ host: '127.0.0.1', port, agent, method: 'POST', path: '/login', headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk })
      response.on('end', () => resolve({ ms: performance.now() - start, told: JSON.stringify([response.statusCode, text, Object.keys(response.headers)]) }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

/** The users who are known: most are ordinary, and there is one of each kind that could be treated otherwise. */
async function makeUsers (): Promise<Map<string, { kind: string, user: SessionUser }>> {
  const kinds: Record<string, Partial<SessionUser>> = {
    'cost 4': { passwordHash: await hash('right password', 4) },
    'cost 8': { passwordHash: await hash('right password', 8) },
    disabled: { passwordHash: await hash('wrong password', 10), disabled: true },
    'no hash': { passwordHash: '' },
    malformed: { passwordHash: '$2b$10$not/a/hash' }
  }
  const special = Object.keys(kinds)
  const users = new Map<string, { kind: string, user: SessionUser }>()
  for (let index = 0; index < NAMES; index++) {
    const kind = special[index] ?? 'ordinary'
    users.set(`known-${index}`, { kind, user: { id: String(index), passwordHash: await hash('right password', 10), ...kinds[kind] } })
  }
  return users
}

function median (values: number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? NaN
}

/** How likely one of the first takes longer than one of the second: one half when they cannot be told apart. */
function areaUnderCurve (first: number[], second: number[]): number {
  let longer = 0
  for (const one of first) for (const other of second) longer += one > other ? 1 : one === other ? 0.5 : 0
  return longer / first.length / second.length
}

async function main (): Promise<void> {
  const users = await makeUsers()
  const app = Fastify()
  await app.register(jwtSession, {
    secret: 'for a benchmark only, 32 bytes or more: 7QmT2vX9dLr4',
    userLookup: { findByUsername: (username) => users.get(username)?.user, findById: () => null },
    throttle: false
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as { port: number }
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  const names = Array.from({ length: NAMES }, (_, index) => [`known-${index}`, `other-${index}`]).flat()

  const times: Record<string, number[]> = {}
  const told = new Set<string>()
  for (let round = 0; round <= ROUNDS; round++) {
    for (const name of names.map((name) => ({ name, order: Math.random() })).sort((one, other) => one.order - other.order).map(({ name }) => name)) {
      const { ms, told: answer } = await login(agent, port, name)
      told.add(answer)
      // The first round warms up.
      if (round > 0) (times[users.get(name)?.kind ?? 'unknown'] ??= []).push(ms)
    }
  }
  agent.destroy()
  await app.close()

  const { unknown = [], ...known } = times
  const rows = [['known', Object.values(known).flat()] as const, ...Object.entries(known), ['unknown', unknown] as const].map(([kind, each]) => {
    const error = Math.sqrt((each.length + unknown.length + 1) / 12 / each.length / unknown.length)
    const area = areaUnderCurve(each, unknown)
    return { kind, logins: each.length, median: median(each).toFixed(1), area: area.toFixed(3), errors: ((area - 0.5) / error).toFixed(1) }
  })
  console.log('| names | logins | median, ms | AUC against unknown | standard errors from 0.5 |\n| --- | ---: | ---: | ---: | ---: |')
  for (const row of rows) console.log(`| ${Object.values(row).join(' | ')} |`)
  const isSilent = rows.every(({ errors }) => Math.abs(Number(errors)) < BOUND)
  console.log(`\nDifferent answers (status, body, names of headers): ${told.size}. The time ${isSilent ? 'tells nothing' : 'tells known from unknown names'}.` +
    ` ${NAMES} known and ${NAMES} unknown names in random order, ${ROUNDS} rounds. Node.js ${process.version}, ${availableParallelism()} CPUs.`)
  if (told.size !== 1 || !isSilent) process.exitCode = 1
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})

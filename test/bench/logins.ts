// What a guarded request waits for while others log in: passwords hashed in the main thread against the default. `npm run
// bench:logins`. The server is a process of its own, and requests are sent when it is their time, answered before or not.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import { availableParallelism } from 'node:os'
import { performance } from 'node:perf_hooks'
import { compare, hash } from 'bcryptjs'
import Fastify from 'fastify'
// The package as it is published, because threads do not load TypeScript.
import jwtSession, { bcryptPasswords, scryptPasswords, type Passwords } from 'fastify-jwt-session'

const RATE = 300
const LOOPS = 4
const ROUNDS = 3
const ROUND_MS = 6000
/** A server that has no time may never come to the rest. */
const PATIENCE_MS = 2000

const COST = 10
const PASSWORD = 'correct horse battery staple'

const variants: Record<string, { make: () => Passwords, loops: number }> = {
  'no logins': { make: () => bcryptPasswords({ cost: COST }), loops: 0 },
  'main thread': { make: () => ({ hash: (password) => hash(password, COST), verify: (password, passwordHash) => compare(password, passwordHash) }), loops: LOOPS },
  'bcryptPasswords()': { make: () => bcryptPasswords({ cost: COST }), loops: LOOPS },
  'scryptPasswords()': { make: () => scryptPasswords(), loops: LOOPS }
}

async function serve (variant: string): Promise<void> {
  const passwords = (variants[variant] as { make: () => Passwords }).make()
  const user = { id: '1', passwordHash: await passwords.hash(PASSWORD) }
  const app = Fastify()
  await app.register(jwtSession, {
    secret: 'for a benchmark only, 32 bytes or more: 7QmT2vX9dLr4',
    userLookup: { findByUsername: () => user, findById: () => user },
    passwords,
    throttle: false
  })
  app.get('/me', { onRequest: [app.authenticate] }, ({ auth }) => auth.subject)
  await app.listen({ host: '127.0.0.1', port: 0 })
  process.once('disconnect', () => process.exit())
  const { access_token: token } = await app.jwtSession.login(user)
  process.send?.({ port: (app.server.address() as { port: number }).port, token })
}

interface Round { logins: number, waits: number[], lost: number }

async function measure (variant: string): Promise<Round> {
  const server = fork(__filename, [variant], { execArgv: process.execArgv })
  try {
    const [{ port, token }] = await once(server, 'message') as [{ port: number, token: string }]
    return await load(port, token, (variants[variant] as { loops: number }).loops)
  } finally {
    await stop(server)
  }
}

async function stop (server: ChildProcess): Promise<void> {
  server.kill('SIGKILL')
  await once(server, 'exit')
}

async function load (port: number, token: string, loops: number): Promise<Round> {
  const agent = new http.Agent({ keepAlive: true })
  const send = async (method: string, path: string, headers: object, body = ''): Promise<void> => await new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, agent, method, path, headers: { ...headers, 'content-length': Buffer.byteLength(body) } }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`${path} answered ${response.statusCode}`))
      response.resume().on('end', resolve).on('error', reject)
    })
    request.on('error', reject)
    request.end(body)
  })
  const get = async (): Promise<void> => await send('GET', '/me', { authorization: `Bearer ${token}` })
  const login = async (): Promise<void> => await send('POST', '/login', { 'content-type': 'application/json' }, JSON.stringify({ username: 'a', password: PASSWORD }))

  for (let count = 0; count < RATE; count++) await get()
  await Promise.all(Array.from({ length: loops }, login))

  let isOver = false
  let logins = 0
  const failures: unknown[] = []
  const fail = (error: unknown): void => { if (!isOver) failures.push(error) }
  const again = (): void => {
    if (isOver) return
    login().then(() => { logins++; again() }, fail)
  }
  for (let loop = 0; loop < loops; loop++) again()

  const waits: number[] = []
  const start = performance.now()
  const count = RATE * ROUND_MS / 1000
  for (let index = 0; index < count; index++) {
    const due = start + index * 1000 / RATE
    while (performance.now() < due) await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now() - 1)))
    get().then(() => waits.push(performance.now() - due), fail)
  }
  const answered = logins
  const end = performance.now() + PATIENCE_MS
  while (waits.length < count && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 20))
  isOver = true
  agent.destroy()
  if (failures.length > 0) throw failures[0]
  return { logins: answered / ROUND_MS * 1000, waits: waits.sort((one, other) => one - other), lost: count - waits.length }
}

function median (values: number[]): number {
  return values.sort((one, other) => one - other)[Math.floor(values.length / 2)] as number
}

function at (waits: number[], part: number): number {
  return waits[Math.min(waits.length - 1, Math.floor(waits.length * part))] ?? Infinity
}

async function main (): Promise<void> {
  const rounds: Record<string, Round[]> = {}
  for (let round = 0; round < ROUNDS; round++) {
    // The other way round every second time, so that nobody always comes first.
    const names = round % 2 === 0 ? Object.keys(variants) : Object.keys(variants).reverse()
    for (const name of names) (rounds[name] ??= []).push(await measure(name))
  }
  const figures = (name: string, part: number): number => median((rounds[name] as Round[]).map(({ waits }) => at(waits, part)))
  const ratio = (name: string, part: number): string => {
    const idle = rounds['no logins'] as Round[]
    return `${median((rounds[name] as Round[]).map(({ waits }, round) => at(waits, part) / at((idle[round] as Round).waits, part))).toFixed(1)} ×`
  }
  const columns = ['hashed in', 'logins/s', 'GET p50, ms', 'GET p99, ms', 'p50 of idle', 'p99 of idle', 'GETs without an answer']
  const rows = Object.keys(variants).map((name) => [
    name,
    median((rounds[name] as Round[]).map(({ logins }) => logins)).toFixed(1),
    figures(name, 0.5).toFixed(1),
    figures(name, 0.99).toFixed(1),
    ratio(name, 0.5),
    ratio(name, 0.99),
    String(median((rounds[name] as Round[]).map(({ lost }) => lost)))
  ])
  const lines = [columns, columns.map((_, index) => index === 0 ? '---' : '---:'), ...rows]
  console.log(lines.map((line) => `| ${line.join(' | ')} |`).join('\n'))
  console.log(`\n${RATE} GETs a second, ${LOOPS} clients that log in without pause, bcrypt of cost ${COST}; medians of ${ROUNDS} rounds of` +
    ` ${ROUND_MS / 1000} s in turn. Node.js ${process.version}, ${availableParallelism()} CPUs.`)
}

const [variant] = process.argv.slice(2)
const run = variant === undefined ? main() : serve(variant)
run.catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})

import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import Redis from 'ioredis'
import { Client } from 'pg'
import { now } from '../../lib/clock'
import { nextOf } from '../../lib/record'
import { engineNamed, newNamespace, type Engine } from '../support/engines'
import type { Awaitable, RevocationStore, SessionRecord } from '../../types'

const SESSIONS = 20_000
const IN_FLIGHT = 64
const BATCH = 64
const ROUNDS = 3
const ROUND_MS = 1000
/** The most that a round creates: memory would fill the heap. */
const CREATIONS = 50_000
/** Without a common factor with SESSIONS, so that sessions read one after the other belong to different subjects. */
const STRIDE = 7919

/** 100 characters, copied for each session: logins share no string either. */
const USER_AGENT = Buffer.from('Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0 Safari/537.360')

const REDIS_URL = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'
const DATABASE_URL = process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/test'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** The bytes in use, by engine. */
const gauges: Record<string, (namespace: string) => Promise<number>> = {
  async memory () {
    collectGarbage()
    return process.memoryUsage().heapUsed
  },

  async 'redis (ioredis)' () {
    const client = new Redis(REDIS_URL)
    const reply = await client.info('memory').finally(() => client.disconnect())
    return Number(/^used_memory:(\d+)/m.exec(reply)?.[1])
  },

  async postgresql (namespace) {
    const client = new Client(DATABASE_URL)
    await client.connect()
    try {
      await client.query(`vacuum analyze "${namespace}"`)
      const { rows } = await client.query('select pg_total_relation_size($1::regclass)::float8 as bytes', [namespace])
      return rows[0].bytes
    } finally {
      await client.end()
    }
  }
}

function nameOf (what: string, number: number): string {
  return createHash('md5').update(`${what} ${number}`).digest('base64url')
}

/** A record as a login makes it, the same names for the same number, so that nobody has to keep it. */
function draft (number: number, perSubject: number): SessionRecord {
  const createdAt = now()
  return {
    id: nameOf('session', number),
    subject: nameOf('subject', Math.floor(number / perSubject)),
    revision: 1,
    expiresAt: createdAt + 30 * 86_400,
    revoked: false,
    state: {
      generation: 0,
      rotatedAt: createdAt,
      seen: false,
      authTime: createdAt,
      createdAt,
      idleExpiresAt: createdAt + 7 * 86_400,
      device: { userAgent: USER_AGENT.toString('latin1'), ip: `203.0.113.${number % 256}` }
    }
  }
}

/** Calls until the work or the time has run out. */
async function run (count: number, limitMs: number, call: (index: number) => Awaitable<unknown>) {
  const start = performance.now()
  let next = 0
  const work = async () => {
    while (next < count && performance.now() - start < limitMs) await call(next++)
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, work))
  return { calls: next, rate: next / (performance.now() - start) * 1000 }
}

function check (isSound: boolean): void {
  if (!isSound) throw new Error('The store answered something else than it should')
}

async function write (store: RevocationStore, record: SessionRecord): Promise<void> {
  check(await store.write(record, record.revision - 1))
}

/** Calls per second, each the median of the rounds, on a store that holds the first sessions, `perSubject` to a subject. */
async function ratesOf (store: RevocationStore, perSubject: number): Promise<Record<string, number>> {
  const records = Array.from({ length: SESSIONS }, (_, number) => draft(number, perSubject))
  const pick = (index: number) => records[index * STRIDE % SESSIONS] as SessionRecord
  const rates: Record<string, number[]> = {}

  async function measure (name: string, call: (index: number) => Awaitable<unknown>, count = Infinity): Promise<number> {
    const { calls, rate } = await run(count, ROUND_MS, call)
    rates[name] = [...rates[name] ?? [], rate]
    return calls
  }

  for (let round = 0; round < ROUNDS; round++) {
    const first = SESSIONS + round * CREATIONS
    const drafts = Array.from({ length: CREATIONS }, (_, index) => draft(first + index, perSubject))
    const created = await measure('create', (index) => write(store, drafts[index] as SessionRecord), CREATIONS)
    await measure('rotate', async (index) => {
      const { state: { generation } } = pick(index)
      const rotatedAt = now()
      const next = nextOf(pick(index), { generation: generation + 1, rotatedAt, idleExpiresAt: rotatedAt + 7 * 86_400 })
      await write(store, next)
      records[index * STRIDE % SESSIONS] = next
    })
    await measure('read', async (index) => check((await store.read([pick(index)])).length === 1))
    await measure(`read ${BATCH}`, async (index) => {
      const refs = Array.from({ length: BATCH }, (_, offset) => pick(index * BATCH + offset))
      check((await store.read(refs)).length === BATCH)
    })
    await measure('revoke', (index) => {
      return write(store, { ...nextOf(drafts[index] as SessionRecord, { revokedAt: now() }), revoked: true })
    }, created)
    await measure(`list ${perSubject}`, async (index) => check((await store.list(pick(index).subject)).length === perSubject))
  }
  return Object.fromEntries(Object.entries(rates).map(([name, values]) => [name, Number(median(values).toPrecision(3))]))
}

function median (values: number[]): number {
  return values.sort((one, other) => one - other)[Math.floor(values.length / 2)] as number
}

/** Fills a store of its own with sessions, weighs it, and times it where that is asked for. */
async function figuresOf (engine: Engine, perSubject: number, isTimed: boolean): Promise<Record<string, number>> {
  const namespace = newNamespace()
  const used = gauges[engine.name] as (namespace: string) => Promise<number>
  const { store, close } = await engine.open(namespace)
  try {
    const before = await used(namespace)
    await run(SESSIONS, Infinity, (number) => write(store, draft(number, perSubject)))
    const bytes = Math.round((await used(namespace) - before) / SESSIONS)
    return { [`bytes, ${perSubject} per subject`]: bytes, ...isTimed && await ratesOf(store, perSubject) }
  } finally {
    await close(true)
  }
}

async function main (): Promise<void> {
  const rows: Record<string, string | number>[] = []
  for (const engine of Object.keys(gauges).map(engineNamed)) {
    if (!await engine.isThere()) {
      console.log(`No server for ${engine.name}: left out.\n`)
      continue
    }
    // Five first: a server's table of keys shrinks with a delay, so that few keys have to come before many.
    const five = await figuresOf(engine, 5, true)
    rows.push({ store: engine.name, ...await figuresOf(engine, 1, false), ...five })
  }

  const columns = Object.keys(rows[0] as object)
  const cells = rows.map((row) => Object.values(row).map((cell) => cell.toLocaleString('en')))
  const lines = [columns, columns.map((_, index) => index === 0 ? '---' : '---:'), ...cells]
  console.log(lines.map((line) => `| ${line.join(' | ')} |`).join('\n'))
  console.log(`\nBytes per session at ${SESSIONS} sessions; calls per second with ${IN_FLIGHT} in flight, 5 sessions per subject,` +
    ` medians of ${ROUNDS} rounds. Node.js ${process.version}, ${availableParallelism()} CPUs, 4 connections to PostgreSQL.`)

  if (!process.argv.includes('--save')) return
  const folder = join(__dirname, 'results')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'stores.json'), `${JSON.stringify(rows, null, 2)}\n`)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})

// A server with `GET /metrics` for Prometheus: what happens to logins, refreshes and requests, how fast the store of sessions
// answers, and what is remembered. `npm run build && npx tsx examples/metrics.ts` runs it.
import { randomBytes } from 'node:crypto'
import Fastify, { type FastifyInstance } from 'fastify'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import jwtSession, { bcryptPasswords, memoryStore, type RevocationStore } from 'fastify-jwt-session'

const { PORT = '3000', JWT_SECRET = randomBytes(32).toString('base64') } = process.env

// The part to take along. No label holds a name that somebody typed, a subject or a session: each would be a series of its own.
function addMetrics (app: FastifyInstance): void {
  const { events, memory } = app.jwtSession
  const registry = new Registry()
  const registers = [registry]

  const logins = new Counter({ name: 'jwt_session_logins_total', help: 'Logins by their outcome', labelNames: ['outcome'], registers })
  events.on('login.succeeded', () => logins.inc({ outcome: 'succeeded' }))
  events.on('login.failed', () => logins.inc({ outcome: 'failed' }))
  events.on('login.throttled', () => logins.inc({ outcome: 'throttled' }))

  const refreshes = new Counter({ name: 'jwt_session_refreshes_total', help: 'Refreshes by their outcome', labelNames: ['outcome'], registers })
  events.on('refresh.succeeded', () => refreshes.inc({ outcome: 'succeeded' }))
  events.on('refresh.refused', ({ reason }) => refreshes.inc({ outcome: reason }))

  const reuses = new Counter({ name: 'jwt_session_reuses_total', help: 'Sessions that ended because a refresh token was used twice', registers })
  events.on('session.reused', () => reuses.inc())

  const refusals = new Counter({ name: 'jwt_session_refusals_total', help: 'Requests that were refused, by the code of the error', labelNames: ['code'], registers })
  events.on('request.refused', ({ code }) => refusals.inc({ code }))

  const calls = new Histogram({ name: 'jwt_session_store_call_seconds', help: 'How long the store was waited for', labelNames: ['operation', 'outcome'], registers })
  events.on('store.called', ({ operation, outcome, duration }) => calls.observe({ operation, outcome }, duration))

  const remembered = new Gauge({ name: 'jwt_session_remembered', help: 'Live sessions and verified tokens that are remembered', labelNames: ['kind'], registers })
  const trusted = new Gauge({ name: 'jwt_session_revocations_trusted', help: '1 while revocations of other nodes are heard', registers })

  // For the operator only: keep this route from the public, by another port, a guard or the proxy.
  app.get('/metrics', async (_request, reply) => {
    const { liveSessions, tokens, isTrusted } = memory()
    remembered.set({ kind: 'session' }, liveSessions)
    remembered.set({ kind: 'token' }, tokens)
    trusted.set(Number(isTrusted))
    return await reply.type(registry.contentType).send(await registry.metrics())
  })
}

// The store in memory answers at once, so there is nothing to measure. This one stands for yours, which is somewhere else.
function remoteStore (): RevocationStore {
  const { read, write, list } = memoryStore()
  return {
    read: async (refs) => await read(refs),
    write: async (record, expected) => await write(record, expected),
    list: async (subject) => await list(subject)
  }
}

async function start (): Promise<void> {
  const alice = { id: '1', passwordHash: await bcryptPasswords().hash('wonderland') }

  const app = Fastify({ logger: { level: 'warn' } })
  await app.register(jwtSession, {
    secret: JWT_SECRET,
    userLookup: { findByUsername: (username) => username === 'alice' ? alice : null, findById: () => alice },
    revocationStore: remoteStore(),
    session: { maxStaleness: '5s' } // Redis and PostgreSQL tell of revocations, and need no such thing
  })
  addMetrics(app)
  app.get('/me', { onRequest: [app.authenticate] }, ({ auth }) => ({ id: auth.subject }))

  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
  const address = await app.listen({ host: '127.0.0.1', port: Number(PORT) })
  console.log(guide(address))
}

function guide (address: string): string {
  return `
Listening at ${address} with one user, alice / wonderland. Paste these lines into another shell:

  url=${address} json='content-type: application/json'

  # log in, be refused
  curl -iw '\\n' $url/login -H "$json" -d '{"username":"alice","password":"wonderland"}'
  curl -iw '\\n' $url/login -H "$json" -d '{"username":"alice","password":"looking glass"}'
  curl -iw '\\n' $url/me

  # what became of it
  curl -i $url/metrics
`
}

start()

// Three processes with the sessions of one Redis: a logout at one of them is obeyed by all. It prints what happens, and ends.
// `npm run build && npx tsx examples/nodes.ts` runs it, with the Redis at REDIS_URL.
import { fork, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import Fastify from 'fastify'
import { Redis } from 'ioredis'
import jwtSession from 'fastify-jwt-session'
import { redisStore } from 'fastify-jwt-session/redis'

const { REDIS_URL = 'redis://127.0.0.1:6379', JWT_SECRET = randomBytes(32).toString('base64') } = process.env
const alice = { id: 'alice', passwordHash: '' }

// One node. What makes it one of several: the same secret, and a store that all of them share.
async function serve (): Promise<void> {
  const redis = new Redis(REDIS_URL, { retryStrategy: () => null })
  redis.on('error', (error) => console.error(`No Redis at REDIS_URL: ${error.message}`))

  const app = Fastify({ logger: { level: 'error' } })
  await app.register(jwtSession, {
    secret: JWT_SECRET,
    revocationStore: redisStore(redis, { prefix: 'fjs-nodes:' }),
    userLookup: { findByUsername: () => null, findById: () => alice },
    routes: { login: false }
  })
  app.addHook('onClose', () => redis.disconnect())
  // A login of your own, as it would stand at the end of an OAuth callback. Passwords have nothing to do with nodes.
  app.post('/open', (request) => app.jwtSession.login(alice, request))
  app.get('/me', { onRequest: [app.authenticate] }, ({ auth }) => ({ id: auth.subject, node: process.pid }))

  process.once('disconnect', () => app.close())
  process.send?.(await app.listen({ host: '127.0.0.1', port: 0 }))
}

// The one that starts the nodes, and then talks to them as a client behind a load balancer would.
async function main (): Promise<void> {
  const nodes = Array.from({ length: 3 }, () => fork(__filename, { env: { ...process.env, JWT_SECRET, NODE: 'yes' } }))
  try {
    const addresses = await Promise.all(nodes.map(addressOf))
    const opened = await fetch(`${addresses[0]}/open`, { method: 'POST' })
    if (!opened.ok) throw new Error(`A login was answered by ${opened.status}`)
    const { access_token: token } = await opened.json() as { access_token: string }
    const headers = { authorization: `Bearer ${token}` }
    console.log(`A login at node 1, ${addresses[0]}`)

    const askAll = async () => {
      for (const [index, address] of addresses.entries()) {
        const answer = await fetch(`${address}/me`, { headers })
        console.log(`  node ${index + 1} answers ${answer.status} ${await answer.text()}`)
      }
    }
    await askAll()
    const logout = await fetch(`${addresses[1]}/logout`, { method: 'POST', headers })
    console.log(`A logout at node 2: ${logout.status}`)
    await askAll()
  } finally {
    for (const node of nodes) if (node.connected) node.disconnect()
  }
}

async function addressOf (node: ChildProcess): Promise<string> {
  const ended = once(node, 'exit').then(() => { throw new Error('A node could not start') })
  ended.catch(() => {})
  const [address] = await Promise.race([once(node, 'message'), ended])
  return address
}

if (process.env.NODE === 'yes') serve()
else main().catch((error) => { console.error(String(error)); process.exitCode = 1 })

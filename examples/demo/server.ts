// A page that shows what sessions do: `npm start` runs it. REDIS_URL or DATABASE_URL says where sessions live, else in memory.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import Fastify from 'fastify'
import jwtSession, { anyOf } from 'fastify-jwt-session'
import { addEvents } from './events'
import { openStore } from './store'
import { demoUsers, seeds } from './users'

// A secret that is made up at every start logs everybody out at every start: good enough for a demo.
const { PORT = '3000', JWT_SECRET = randomBytes(32).toString('base64') } = process.env

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
  "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"
].join('; ')

async function start (): Promise<void> {
  const { name, store, close } = await openStore(process.env)
  const userLookup = await demoUsers()
  const app = Fastify({ logger: { level: 'error' } })

  app.addHook('onRequest', async (_request, reply) => {
    reply.headers({ 'content-security-policy': CONTENT_SECURITY_POLICY, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' })
  })
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info: { title: 'The demo of fastify-jwt-session', version: '1', description: 'Users: alice / wonderland and bob / builder.' } }
  })
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'" })

  await app.register(jwtSession, {
    secret: JWT_SECRET,
    userLookup,
    claims: ({ username, roles }) => ({ username, roles }),
    revocationStore: store,
    // Short, so that one sees it run out.
    accessToken: { expiresIn: '60s' },
    session: { idleTimeout: '30m', absoluteTimeout: '8h', maxPerSubject: 10 },
    throttle: { account: { attempts: 5, window: '1m' } },
    locations: ['header', 'cookie'],
    deliver: (request) => request.headers['x-demo-transport'] === 'cookie' ? 'cookie' : 'body',
    // Safari keeps no secure cookie of a page without TLS. An application has TLS, and leaves this out.
    cookie: { secure: false },
    routes: { register: true, sessions: true }
  })

  const guarded = { tags: ['demo'], security: [{ bearerAuth: [] }, { accessCookie: [] }] }
  app.get('/open', { schema: { summary: 'For everybody', tags: ['demo'], security: [] } }, () => ({ hello: 'everybody' }))
  app.get('/me', { schema: { summary: 'Who asks', ...guarded }, onRequest: [app.authenticate] }, ({ auth }) =>
    ({ id: auth.subject, source: auth.source, claims: auth.claims, expires_in: Math.ceil(auth.claims.exp - Date.now() / 1000) }))
  app.get('/drafts', { schema: { summary: 'For editors and admins', ...guarded }, onRequest: [app.requireClaims({ roles: anyOf('editor', 'admin') })] }, () => ({ drafts: 3 }))
  app.get('/admin', { schema: { summary: 'For admins', ...guarded }, onRequest: [app.requireClaims({ roles: 'admin' })] }, () => ({ hello: 'admin' }))
  app.post('/transfer', { schema: { summary: 'For those who have shown their password lately', ...guarded }, onRequest: [app.authenticate({ maxAge: '30s' })] }, () => ({ transferred: true }))

  // For the page alone.
  app.get('/demo/about', { schema: { hide: true } }, () => ({ store: name, users: seeds }))
  addEvents(app, async (subject) => (await userLookup.findById(subject))?.username ?? subject)
  await app.register(fastifyStatic, { root: join(__dirname, 'public'), schemaHide: true })

  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close().then(close))
  const address = await app.listen({ host: '127.0.0.1', port: Number(PORT) })
  console.log(`
Open ${address} in a browser. The API is described at ${address}/docs.

  ${seeds.map(({ username, password, roles }) => `${username} / ${password}, ${roles.join(' and ')}`).join('\n  ')}

Sessions live in ${name === 'memory' ? 'memory; with REDIS_URL or DATABASE_URL they live there' : name}.
`)
}

start()

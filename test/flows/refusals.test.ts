import diagnosticsChannel from 'node:diagnostics_channel'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import jwtSession, { authenticate, isSessionError, memoryStore } from '../../lib'
import { buildApp, clientOf, lookupIn, makeUsers, plainPasswords, SECRET } from '../support/app'

const options = () => ({ secret: SECRET, userLookup: lookupIn(makeUsers()), passwords: plainPasswords })

/** What a registration tells of refusals, from now on, as `status code route`. */
function refusalsOf (app: FastifyInstance): string[] {
  const told: string[] = []
  app.jwtSession.events.on('request.refused', ({ code, statusCode, route, ...more }) => {
    told.push([statusCode, String(code).replace('FST_JWT_SESSION_', ''), route, ...Object.keys(more)].join(' '))
  })
  return told
}

t.test('every answer with an error of this package is told once, with the pattern of its route and nothing else', async (t) => {
  const { app, client } = await buildApp(t, { routes: { sessions: true } })
  const told = refusalsOf(app)
  app.get('/files/:name', { onRequest: [app.authenticate] }, () => 'a file')
  app.get('/sent', (_request, reply) => app.jwtSession.verify('x').catch((error) => reply.send(error)))
  app.get('/caught', () => app.jwtSession.verify('x').catch(() => 'kept to itself'))
  app.get('/other', () => { throw new Error('not of this package') })
  app.setNotFoundHandler({ preHandler: app.authenticate }, () => 'not found')

  const tokens = await client.login()
  for (const url of ['/me', '/admin', '/sessions', '/maybe']) t.equal((await client.get(url, tokens.access_token)).statusCode, 200)
  await client.get('/other')
  await client.get('/caught')
  t.same(told, [])

  await client.get('/me')
  await client.get('/files/secret?access_token=secret')
  await client.get('/sent')
  await client.get('/nowhere?access_token=secret')
  await client.post('/login', { username: 'alice', password: 4711 })
  await client.post('/login', { username: 'alice', password: 'wrong' })
  await client.refresh('x')
  await app.inject({ method: 'DELETE', url: '/sessions/x', headers: { authorization: `Bearer ${tokens.access_token}` } })
  await client.get('/admin', (await client.login('bob', 'builder')).access_token)
  t.same(told, [
    '401 TOKEN_MISSING /me',
    '401 TOKEN_MISSING /files/:name',
    '401 TOKEN_INVALID /sent',
    '401 TOKEN_MISSING ',
    '400 REQUEST_INVALID /login',
    '401 INVALID_CREDENTIALS /login',
    '401 REFRESH_TOKEN_INVALID /refresh',
    '404 SESSION_NOT_FOUND /sessions/:id',
    '403 CLAIMS_INSUFFICIENT /admin'
  ])
})

t.test('contexts below tell it too, whether they are declared before or after', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(async (child) => { child.get('/before', { onRequest: [authenticate] }, () => 'in') })
  await app.register(jwtSession, options())
  await app.register(async (child) => {
    child.addHook('onRequest', child.authenticate)
    await child.register(async (grandchild) => { grandchild.get('/after', () => 'in') }, { prefix: '/below' })
  })
  const told = refusalsOf(app)
  for (const url of ['/before', '/below/after']) await app.inject(url)
  t.same(told, ['401 TOKEN_MISSING /before', '401 TOKEN_MISSING /below/after'])
})

for (const order of ['before', 'after'] as const) {
  t.test(`an error handler that is set ${order} the plugin changes nothing about what is told, not even by throwing`, async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    const setErrorHandler = () => app.setErrorHandler(async (error, request, reply) => {
      if (!isSessionError(error) || request.headers.rethrow !== undefined) throw error
      return await reply.code(418).send({ nein: error.code })
    })
    if (order === 'before') setErrorHandler()
    await app.register(jwtSession, options())
    if (order === 'after') setErrorHandler()
    app.get('/me', { onRequest: [app.authenticate] }, () => 'in')
    const told = refusalsOf(app)
    for (const headers of [{}, { rethrow: 'yes' }]) {
      const statuses = [
        (await app.inject({ url: '/me', headers })).statusCode,
        (await app.inject({ method: 'POST', url: '/refresh', headers, payload: { refresh_token: 'x' } })).statusCode
      ]
      t.same(statuses, headers.rethrow === undefined ? [418, 418] : [401, 401])
      t.same(told.splice(0), ['401 TOKEN_MISSING /me', '401 REFRESH_TOKEN_INVALID /refresh'])
    }
  })
}

t.test('an error of another server that a gateway hands on is none of this package, whatever its code is', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(jwtSession, options())
  let later = 0
  app.addHook('onError', async () => { later++ })
  app.get('/elsewhere', () => { throw Object.assign(new Error('no'), { statusCode: 401, code: 'FST_JWT_SESSION_TOKEN_EXPIRED' }) })
  const told = refusalsOf(app)
  t.equal((await app.inject('/elsewhere')).statusCode, 401)
  t.same(told, [])
  t.equal(later, 1, 'hooks that follow are called')
})

t.test('siblings tell of their own routes, and channels of all', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const told: Record<string, string[]> = {}
  for (const name of ['one', 'two']) {
    await app.register(async (child) => {
      await child.register(jwtSession, { ...options(), routes: { prefix: `/${name}` } })
      child.get(`/${name}/me`, { onRequest: [child.authenticate] }, () => 'in')
      told[name] = refusalsOf(child)
    })
  }
  const messages: unknown[] = []
  const subscriber = (message: unknown) => { messages.push(message) }
  diagnosticsChannel.subscribe('fastify-jwt-session:request.refused', subscriber)
  t.teardown(() => diagnosticsChannel.unsubscribe('fastify-jwt-session:request.refused', subscriber))
  for (const name of ['one', 'two']) await app.inject(`/${name}/me`)
  t.same(told, { one: ['401 TOKEN_MISSING /one/me'], two: ['401 TOKEN_MISSING /two/me'] })
  t.same(messages, ['one', 'two'].map((name) => ({ code: 'FST_JWT_SESSION_TOKEN_MISSING', statusCode: 401, route: `/${name}/me` })))
})

t.test('a registration below another is refused, so that no refusal is told twice', async (t) => {
  const app = Fastify()
  await app.register(jwtSession, options())
  await t.rejects(async () => { await app.register(async (child) => { await child.register(jwtSession, options()) }) }, { code: 'FST_ERR_DEC_ALREADY_PRESENT' })
})

t.test('a resource server tells of refusals', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(jwtSession, { keys: [{ kid: 'a', algorithm: 'HS256', secret: SECRET, use: 'verify' }], revocationStore: memoryStore() })
  app.get('/me', { onRequest: [app.authenticate] }, () => 'in')
  const told = refusalsOf(app)
  await clientOf(app).get('/me', 'x')
  t.same(told, ['401 TOKEN_INVALID /me'])
  t.same(app.jwtSession.memory(), { liveSessions: 0, tokens: 0, isTrusted: null })
})

t.test('a refusal is logged as often as it was without anybody who hears of it', async (t) => {
  const lines: string[] = []
  const { app, client } = await buildApp(t, {}, { logger: { stream: { write: (line: string) => { lines.push(line) } } } })
  await client.get('/me')
  const before = lines.splice(0).length
  refusalsOf(app)
  await client.get('/me')
  t.equal(lines.length, before)
  t.notMatch(lines.join(), 'request.refused')
})

t.test('a body that cannot be read leaves nothing of it in the log', async (t) => {
  const lines: string[] = []
  const { app } = await buildApp(t, {}, { logger: { level: 'trace', stream: { write: (line: string) => { lines.push(line) } } } })
  const bodies = ['{"username":"alice","password":"wonderland', '{"username":"alice","password":"wonderland"}x', '{"password":"wonderland","__proto__":{}}', '{"username":["wonderland"],"password":"x"}', '{"wonderland":1}']
  for (const payload of bodies) {
    for (const url of ['/login', '/refresh', '/logout']) {
      const answer = await app.inject({ method: 'POST', url, payload, headers: { 'content-type': 'application/json' } })
      t.equal(Math.floor(answer.statusCode / 100), 4, `${url} ${payload}`)
      t.notMatch(answer.body, 'wonder')
    }
  }
  t.ok(lines.length >= 45)
  t.notMatch(lines.join(), 'wonder')
})

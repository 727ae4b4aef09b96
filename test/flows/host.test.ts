import Fastify, { type FastifyInstance } from 'fastify'
import fastifyCookie from '@fastify/cookie'
import fastifyJwt from '@fastify/jwt'
import fastifySensible from '@fastify/sensible'
import t from 'tap'
import jwtSession, { allOf, anyOf, authenticate, isSessionError, memoryStore, requireClaims } from '../../lib'
import { buildApp, clientOf, lookupIn, makeUsers, plainPasswords, SECRET } from '../support/app'

const options = () => ({ secret: SECRET, userLookup: lookupIn(makeUsers()), passwords: plainPasswords })

t.test('exports: one function under every name', async (t) => {
  t.equal(jwtSession.default, jwtSession)
  t.equal(jwtSession.fastifyJwtSession, jwtSession)
  t.equal((jwtSession as unknown as Record<symbol, object>)[Symbol.for('plugin-meta')] === undefined, false)
  t.type(memoryStore().read, 'function')
})

for (const order of ['before', 'after'] as const) {
  t.test(`a host that registers @fastify/jwt, @fastify/sensible and @fastify/cookie ${order} the plugin keeps its own`, async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    const host = async () => {
      await app.register(fastifyJwt, { secret: 'the secret of the host' })
      await app.register(fastifySensible)
      await app.register(fastifyCookie)
    }
    if (order === 'before') await host()
    await app.register(jwtSession, options())
    if (order === 'after') await host()
    app.get('/host', async (request) => await request.jwtVerify())
    app.get('/me', { onRequest: [app.authenticate] }, (request) => ({ auth: request.auth.subject, user: request.user ?? null }))

    const client = clientOf(app)
    const { access_token: token } = await client.login()
    t.same((await client.get('/me', token)).json(), { auth: 'user-alice', user: null })
    t.equal((await client.get('/host', app.jwt.sign({ own: true }))).json().own, true)
    t.equal((await client.get('/host', token)).statusCode, 401)
    t.equal((await client.get('/me', app.jwt.sign({ own: true }))).code, 'TOKEN_INVALID')
  })
}

t.test('siblings may each register the plugin, and know nothing of each other', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  for (const name of ['one', 'two']) {
    await app.register(async (child) => {
      await child.register(jwtSession, { ...options(), issuer: name, routes: { prefix: `/${name}` } })
      child.get(`/${name}/me`, { onRequest: [child.authenticate] }, (request) => request.auth.claims.iss)
      child.get(`/${name}/imported`, { onRequest: [authenticate] }, (request) => request.auth.claims.iss)
    })
  }
  for (const [name, other] of [['one', 'two'], ['two', 'one']]) {
    const login = await app.inject({ method: 'POST', url: `/${name}/login`, payload: { username: 'alice', password: 'wonderland' } })
    const headers = { authorization: `Bearer ${login.json().access_token}` }
    for (const route of ['me', 'imported']) {
      t.equal((await app.inject({ url: `/${name}/${route}`, headers })).body, name)
      t.equal((await app.inject({ url: `/${other}/${route}`, headers })).statusCode, 401)
    }
  }
})

t.test('the imported guards do not depend on the order of registration', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(jwtSession, { ...options(), claims: ({ roles }) => ({ roles }) })
  app.get('/me', { onRequest: [authenticate] }, (request) => request.auth.subject)
  app.get('/any', { onRequest: [requireClaims({ roles: anyOf('reader', 'admin') })] }, () => 'any')
  app.get('/all', { onRequest: [requireClaims({ roles: allOf('reader', 'admin') })] }, () => 'all')
  const client = clientOf(app)
  const { access_token: token } = await client.login()
  t.equal((await client.get('/me')).code, 'TOKEN_MISSING')
  t.equal((await client.get('/me', token)).body, 'user-alice')
  t.equal((await client.get('/any', token)).body, 'any')
  t.equal((await client.get('/all', token)).code, 'CLAIMS_INSUFFICIENT')
})

t.test('without the plugin an imported guard lets nobody in, and says so', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.get('/me', { onRequest: [authenticate] }, () => 'in')
  app.get('/admin', { onRequest: [requireClaims({ roles: 'admin' })] }, () => 'in')
  for (const url of ['/me', '/admin']) {
    const answer = await clientOf(app).get(url, 'x')
    t.equal(answer.statusCode, 500)
    t.equal(answer.code, 'OPTION_INVALID')
    t.match(answer.json().message, 'A guarded route is outside')
  }
})

t.test('a route that is declared before the registration was awaited is refused, in array form', async (t) => {
  const app = Fastify()
  app.register(jwtSession, options())
  t.throws(() => app.get('/me', { onRequest: [app.authenticate] }, () => 'in'), { code: 'FST_ERR_HOOK_INVALID_HANDLER' })
  await app.close()
})

t.test('guards in other places than a route: addHook, by hand, several on one route', async (t) => {
  const { app: root, client } = await buildApp(t, {}, {})
  t.ok(root)
  const { access_token: token } = await client.login()

  const app = Fastify()
  t.teardown(() => app.close())
  let reads = 0
  const store = memoryStore()
  await app.register(jwtSession, {
    ...options(),
    claims: ({ roles }) => ({ roles }),
    revocationStore: { ...store, read: (refs) => { reads++; return store.read(refs) } }
  })
  await app.register(async (child) => {
    child.addHook('onRequest', child.authenticate)
    child.get('/inside', { onRequest: [child.requireClaims({ roles: 'admin' }), child.authenticate({ fresh: true })] }, (request) => request.auth.subject)
  })
  app.get('/by-hand', async (request, reply) => {
    await app.authenticate(request, reply)
    await app.requireClaims({ roles: (roles: string[]) => roles.length > 0 })(request, reply)
    return request.auth.subject
  })
  const inner = clientOf(app)
  const tokens = await inner.login()
  reads = 0
  t.equal((await inner.get('/inside', tokens.access_token)).body, 'user-alice')
  t.equal(reads, 1, 'nested guards verify once')
  t.equal((await inner.get('/by-hand', tokens.access_token)).body, 'user-alice')
  t.equal((await inner.get('/by-hand')).code, 'TOKEN_MISSING')
  t.equal((await inner.get('/inside', token)).code, 'SESSION_REVOKED', 'a session of another store')
})

t.test('guards are functions with names, and refuse requirements that contradict each other', async (t) => {
  const { app } = await buildApp(t)
  await app.ready()
  t.match(app.printRoutes({ includeHooks: true }), 'authenticate()')
  t.match(app.printRoutes({ includeHooks: true }), 'requireClaims()')
  t.equal(app.authenticate({}).name, 'authenticate')
  t.equal(app.authenticate().name, 'authenticate')
  t.equal(app.getDecorator<FastifyInstance['authenticate']>('authenticate')({ fresh: true }).name, 'authenticate')
  const wrong: [unknown, string][] = [
    [{ optional: true, fresh: true }, 'authenticate.optional'], [{ optional: true, maxAge: 60 }, 'authenticate.optional'],
    [{ optional: 1 }, 'authenticate.optional'], [{ fresh: 'yes' }, 'authenticate.fresh'], [{ frsh: true }, 'authenticate.frsh'],
    [{ maxAge: 0 }, 'authenticate.maxAge'], [{ maxAge: '2y' }, 'authenticate.maxAge'], [{ maxAge: null }, 'authenticate.maxAge'],
    [{ audience: '' }, 'authenticate.audience'], [{ locations: [] }, 'authenticate.locations'], [{ loadUser: 'yes' }, 'authenticate.loadUser'],
    [null, 'authenticate'], [[], 'authenticate']
  ]
  for (const [bad, name] of wrong) {
    const message = new RegExp(`^fastify-jwt-session: ${name} `)
    t.throws(() => app.authenticate(bad as never), { code: 'FST_JWT_SESSION_OPTION_INVALID', message }, JSON.stringify(bad))
  }
  for (const good of [{ optional: true, fresh: false }, { fresh: true, maxAge: '1y' }, { maxAge: 1 }] as const) t.equal(typeof app.authenticate(good), 'function')
})

t.test('an asynchronous predicate guards', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(jwtSession, { ...options(), claims: ({ roles }) => ({ roles }) })
  app.get('/', { onRequest: [app.requireClaims({ roles: async (roles: string[]) => roles.includes('admin') })] }, () => 'in')
  const client = clientOf(app)
  t.equal((await client.get('/', (await client.login()).access_token)).body, 'in')
  t.equal((await client.get('/', (await client.login('bob', 'builder')).access_token)).code, 'CLAIMS_INSUFFICIENT')
})

for (const order of ['before', 'after'] as const) {
  t.test(`an error handler that the application sets ${order} the plugin answers in its own words, and the challenge survives`, async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    const setErrorHandler = () => app.setErrorHandler((error, _request, reply) => {
      if (!isSessionError(error)) throw error
      return reply.code(error.statusCode).send({ fehler: 'Nein', grund: error.code, felder: (error as { validation?: unknown }).validation })
    })
    if (order === 'before') setErrorHandler()
    await app.register(jwtSession, options())
    if (order === 'after') setErrorHandler()
    app.get('/me', { onRequest: [app.authenticate] }, () => 'in')
    const missing = await app.inject('/me')
    t.match(missing.json(), { fehler: 'Nein', grund: 'FST_JWT_SESSION_TOKEN_MISSING' })
    t.equal(missing.headers['www-authenticate'], 'Bearer')

    const refused = await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: 'x' } })
    t.match(refused.json(), { fehler: 'Nein', grund: 'FST_JWT_SESSION_REFRESH_TOKEN_INVALID' })
    t.equal(refused.headers['www-authenticate'], 'Bearer error="invalid_token"')

    const malformed = await app.inject({ method: 'POST', url: '/login', payload: { username: 'alice', password: 4711 } })
    t.equal(malformed.statusCode, 400)
    t.match(malformed.json(), { grund: 'FST_JWT_SESSION_REQUEST_INVALID', felder: [{ instancePath: '/password' }] })
    t.notMatch(malformed.body, '4711', 'what was sent is not told')
    const unread = await app.inject({ method: 'POST', url: '/login', payload: 'x', headers: { 'content-type': 'text/plain' } })
    t.match(unread.json(), { statusCode: 415, code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE' }, 'what it throws goes on to Fastify')
  })
}

t.test('isSessionError knows the errors of the package, and nothing else', async (t) => {
  for (const error of [undefined, null, 'x', new Error('x'), { code: 'FST_JWT_SESSION_' }, { code: 'FST_JWT_SESSION_toString' }, { code: 4 }, { code: 'FST_JWT_SESSION_TOKEN_MISSING', statusCode: 401 }]) {
    t.equal(isSessionError(error), false)
  }
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(jwtSession, options())
  const error: unknown = await app.jwtSession.verify('x').catch((error: unknown) => error)
  t.equal(isSessionError(error), true)
  t.equal(isSessionError({ ...error as object }), true, 'of another copy of the package, it has another class')
})

t.test('what a host parses, coerces or adds does not reach the routes', async (t) => {
  const app = Fastify({ ajv: { customOptions: { coerceTypes: 'array' } } })
  t.teardown(() => app.close())
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(body as string))))
  app.addHook('onSend', async (_request, reply) => { reply.header('x-host', 'yes') })
  await app.register(jwtSession, options())
  for (const [payload, type] of [
    ['username=alice&password=wonderland', 'application/x-www-form-urlencoded'],
    ['{"username":"alice","password":"wonderland"}', 'text/plain'],
    ['{"username":"alice","password":"wonderland"}', 'application/json-seq']
  ] as const) {
    const answer = await app.inject({ method: 'POST', url: '/login', payload, headers: { 'content-type': type } })
    t.equal(answer.statusCode, 415, type)
    t.equal(answer.headers['cache-control'], 'no-store')
    t.equal(answer.headers['x-host'], 'yes', 'hooks of the host run as everywhere')
  }
  for (const payload of [{ username: ['alice'], password: ['wonderland'] }, { username: 'alice', password: null }, [], 'x']) {
    const answer = await app.inject({ method: 'POST', url: '/login', payload: JSON.stringify(payload), headers: { 'content-type': 'application/json' } })
    t.equal(answer.json().code, 'FST_JWT_SESSION_REQUEST_INVALID', JSON.stringify(payload))
  }
})

t.test('routes can be moved, switched off, and told about', async (t) => {
  const seen: [string, unknown][] = []
  const app = Fastify()
  t.teardown(() => app.close())
  app.addHook('onRoute', ({ url, config }) => { seen.push([url, config]) })
  await app.register(jwtSession, {
    ...options(),
    usernameField: 'email',
    presentUser: ({ id, roles }) => ({ id, roles }),
    routes: { prefix: '/auth', login: { path: '/signin', config: { limit: 5 } as object }, refresh: '/renew', logout: false }
  })
  t.match(seen, [['/auth/signin', { limit: 5 }], ['/auth/renew', {}]])
  const login = await app.inject({ method: 'POST', url: '/auth/signin', payload: { email: 'bob', password: 'builder' } })
  t.same(login.json().user, { id: 'user-bob', roles: ['reader'] })
  const renewed = await app.inject({ method: 'POST', url: '/auth/renew', payload: { refresh_token: login.json().refresh_token } })
  t.same(renewed.json().user, { id: 'user-bob', roles: ['reader'] })
  t.equal((await app.inject({ method: 'POST', url: '/auth/logout' })).statusCode, 404)
  t.equal((await app.inject({ method: 'POST', url: '/login', payload: {} })).statusCode, 404)
})

t.test('a registration that cannot work is refused at start, with its reason', async (t) => {
  const app = Fastify()
  await t.rejects(async () => await app.register(jwtSession, { ...options(), secret: 'short' }), {
    code: 'FST_JWT_SESSION_OPTION_INVALID', message: 'fastify-jwt-session: secret is shorter than 32 bytes. Make one with: openssl rand -base64 32.'
  })
})

t.test('a secret that looks made up is warned of in the log', async (t) => {
  const lines: string[] = []
  await buildApp(t, { secret: 'x'.repeat(32) }, { logger: { level: 'warn', stream: { write: (line: string) => { lines.push(line) } } } })
  t.match(lines.join(), 'made up by hand')
  t.notMatch(lines.join(), 'x'.repeat(32))
})

t.test('closing the application closes the store, once', async (t) => {
  let closed = 0
  const app = Fastify()
  await app.register(jwtSession, { ...options(), revocationStore: { ...memoryStore(), close: () => { closed++ } } })
  await app.close()
  t.equal(closed, 1)
})

import Fastify from 'fastify'
import fastifyJwt from '@fastify/jwt'
import t from 'tap'
import jwtSession, { isSessionError } from '../../lib'
import { buildApp, clientOf, lookupIn, makeUsers, plainPasswords, SECRET, type TestUser } from '../support/app'
import { browserOf } from '../support/browser'
import { stopClock } from '../support/clock'
import { parse } from '../support/forge'
import { proveRows, type Row } from '../support/migration-table'

t.test('seed 0: a login by e-mail that answers the user, a lifetime of 8 hours, a kid, and one answer to whatever is wrong', async (t) => {
  const clock = stopClock(t)
  const { app, client } = await buildApp(t, {
    secret: undefined,
    keys: [{ kid: '2026-06', algorithm: 'HS256', secret: SECRET }],
    usernameField: 'email',
    routes: { prefix: '/api' },
    accessToken: { expiresIn: '8h' },
    claims: ({ roles }) => ({ role: roles[0] }),
    presentUser: ({ id, roles }) => ({ id, role: roles[0] })
  })
  const login = await client.post('/api/login', { email: 'alice', password: 'wonderland' })
  t.match(login, { statusCode: 200 })
  t.same(login.json().user, { id: 'user-alice', role: 'admin' })
  t.equal(login.json().expires_in, 8 * 3600)
  const token = login.json().access_token
  t.match(parse(token), { header: { kid: '2026-06' }, claims: { role: 'admin' } })

  const unknown = await client.post('/api/login', { email: 'nobody', password: 'wonderland' })
  const wrong = await client.post('/api/login', { email: 'alice', password: 'wrong' })
  t.match(unknown, { statusCode: 401, code: 'INVALID_CREDENTIALS' })
  t.equal(unknown.body, wrong.body, 'the answer does not tell which')
  t.match(await client.post('/api/login', { username: 'alice', password: 'wonderland' }), { statusCode: 400, code: 'REQUEST_INVALID' })

  t.equal((await client.get('/me', token)).statusCode, 200)
  t.match(await client.get('/me'), { statusCode: 401, code: 'TOKEN_MISSING' })
  clock.advance(8 * 3600)
  t.match(await client.get('/me', token), { statusCode: 401, code: 'TOKEN_EXPIRED' })
  t.ok(app.hasRoute({ method: 'POST', url: '/api/refresh' }))
})

t.test('seed 1: a secret of the environment, a lifetime of a day, and errors under the key "message"', async (t) => {
  process.env.SEED_1_SECRET = SECRET
  t.teardown(() => { delete process.env.SEED_1_SECRET })
  const { app, client } = await buildApp(t, { secret: process.env.SEED_1_SECRET, accessToken: { expiresIn: '1d' } })
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => reply.code(error.statusCode ?? 500).send({ message: error.message }))
  t.equal((await client.login()).expires_in, 86_400)
  const answer = await client.get('/me')
  t.equal(answer.statusCode, 401)
  t.same(answer.json(), { message: 'An access token is required' })
  await t.rejects(buildApp(t, { secret: process.env.SEED_1_NO_SUCH_SECRET }), { code: 'FST_JWT_SESSION_OPTION_INVALID', message: /secret/ })
})

t.test('seed 2: a profile, and errors in Spanish with statuses of the application, whose challenges survive', async (t) => {
  const clock = stopClock(t)
  const { app, client, users } = await buildApp(t, { accessToken: { expiresIn: '1h' }, claims: ({ roles }) => ({ rol: roles[0] }) })
  const words: Record<string, [status: number, text: string]> = {
    TOKEN_MISSING: [401, 'Falta el token'],
    TOKEN_INVALID: [422, 'Token no válido'],
    TOKEN_EXPIRED: [401, 'El token ha expirado'],
    SESSION_REVOKED: [401, 'La sesión ha terminado']
  }
  app.setErrorHandler((error, _request, reply) => {
    if (!isSessionError(error)) return reply.send(error)
    const [status, text] = words[error.code.replace('FST_JWT_SESSION_', '')] ?? [error.statusCode, error.message]
    return reply.code(status).send({ error: text })
  })
  const isAlice = (id: string) => users.get('alice')?.id === id
  app.get('/perfil', { onRequest: [app.authenticate] }, ({ auth }) => ({ id: auth.subject, conocido: isAlice(auth.subject), rol: auth.claims.rol }))
  app.get('/roto', () => { throw Object.assign(new Error('otro'), { statusCode: 409 }) })

  const token = (await client.login()).access_token
  t.same((await client.get('/perfil', token)).json(), { id: 'user-alice', conocido: true, rol: 'admin' })
  async function fails (given: string | undefined, status: number, error: string, challenge: string): Promise<void> {
    const answer = await client.get('/perfil', given)
    t.equal(answer.statusCode, status, error)
    t.same(answer.json(), { error })
    t.equal(answer.headers['www-authenticate'], challenge)
  }
  const invalid = 'Bearer error="invalid_token"'
  await fails(undefined, 401, 'Falta el token', 'Bearer')
  await fails('x.y.z', 422, 'Token no válido', invalid)
  const ended = (await client.login()).access_token
  await client.post('/logout', undefined, ended)
  await fails(ended, 401, 'La sesión ha terminado', invalid)
  clock.advance(3600)
  await fails(token, 401, 'El token ha expirado', invalid)
  t.match((await client.get('/roto')).json(), { statusCode: 409, message: 'otro' })
})

t.test('seed 3: nested claims, an audience for each route, roles, and the address of the login', async (t) => {
  const { app, client, users } = await buildApp(t, {
    audience: ['api-mi-aplicacion', 'informes'],
    accessToken: { expiresIn: '8h' },
    claims: ({ roles }, { request }) => ({
      user_roles: roles,
      custom_data: { departamento: 'ventas', permisos_especiales: ['exportar'] },
      tenant_id: 't1',
      login_ip: request?.ip
    })
  })
  app.get('/datos', { onRequest: [app.authenticate({ audience: 'api-mi-aplicacion' })] }, ({ auth }) => auth.claims.custom_data)
  app.get('/ajeno', { onRequest: [app.authenticate({ audience: 'otra' })] }, () => 'in')
  app.get('/gestion', { onRequest: [app.requireClaims({ user_roles: 'admin' })] }, () => 'in')
  app.get('/exportar', { onRequest: [app.requireClaims({ custom_data: { permisos_especiales: 'exportar', departamento: 'ventas' } })] }, () => 'in')
  app.get('/borrar', { onRequest: [app.requireClaims({ custom_data: { permisos_especiales: 'borrar' } })] }, () => 'in')

  const { access_token: alice, refresh_token: refreshToken } = await client.login()
  const bob = (await client.login('bob', 'builder')).access_token
  t.same((await client.get('/datos', alice)).json(), { departamento: 'ventas', permisos_especiales: ['exportar'] })
  t.match(await client.get('/ajeno', alice), { statusCode: 401, code: 'TOKEN_INVALID' })
  t.equal((await client.get('/gestion', alice)).statusCode, 200)
  t.match(await client.get('/gestion', bob), { statusCode: 403, code: 'CLAIMS_INSUFFICIENT' })
  t.equal((await client.get('/exportar', bob)).statusCode, 200)
  t.match(await client.get('/borrar', bob), { statusCode: 403, code: 'CLAIMS_INSUFFICIENT' })
  t.match(parse(alice).claims, { login_ip: '127.0.0.1', tenant_id: 't1' })

  Object.assign(users.get('alice') as TestUser, { roles: [] })
  t.equal((await client.get('/gestion', alice)).statusCode, 200, 'claims are those of the time of issue')
  t.match(await client.get('/gestion', (await client.refresh(refreshToken)).json().access_token), { statusCode: 403 })
})

t.test('seed 4: register, log in, get in, refresh, log out, be refused, expire', async (t) => {
  const clock = stopClock(t)
  const users = makeUsers()
  const { app, client } = await buildApp(t, {
    routes: { register: true },
    userLookup: {
      ...lookupIn(users),
      create (input) {
        const user = { id: 'user-carol', roles: [], passwordHash: input.passwordHash }
        users.set(String(input.username), user)
        return user
      }
    }
  })
  const protect = { onRequest: [app.authenticate] }
  app.route({ method: ['GET', 'POST'], url: '/protected', ...protect, handler: () => 'in' })

  t.equal((await client.post('/register', { username: 'carol', password: 'chocolate' })).statusCode, 201)
  t.match(await client.post('/register', { username: 'carol', password: 'chocolate' }), { statusCode: 409, code: 'USERNAME_TAKEN' })
  const { access_token: token, refresh_token: refreshToken } = await client.login('carol', 'chocolate')
  t.equal((await client.get('/protected', token)).body, 'in')
  const renewed = (await client.refresh(refreshToken)).json().access_token
  t.equal((await client.post('/protected', {}, renewed)).body, 'in')
  t.equal((await client.post('/logout', undefined, renewed)).statusCode, 204)
  for (const one of [token, renewed]) {
    t.match(await client.get('/protected', one), { statusCode: 401, code: 'SESSION_REVOKED' })
    t.match(await client.post('/protected', {}, one), { statusCode: 401, code: 'SESSION_REVOKED' })
  }
  const late = (await client.login('carol', 'chocolate')).access_token
  clock.advance(900)
  t.match(await client.get('/protected', late), { statusCode: 401, code: 'TOKEN_EXPIRED' })
})

const rows: readonly Row[] = [
  [['app.jwt.sign', 'request.jwtVerify', 'app.jwt.verify', 'app.jwt.decode', 'request.user', 'formatUser'], async (t) => {
    const { app, client, users } = await buildApp(t, { loadUser: true })
    app.get('/hand', async (request, reply) => {
      await app.authenticate(request, reply)
      return { subject: request.auth.subject, frozen: Object.isFrozen(request.auth), user: 'user' in request, now: (request.auth.user as TestUser).roles }
    })
    const { access_token: token } = await app.jwtSession.login(users.get('bob') as TestUser)
    Object.assign(users.get('bob') as TestUser, { roles: ['writer'] })
    t.same((await client.get('/hand', token)).json(), { subject: 'user-bob', frozen: true, user: false, now: ['writer'] })
    t.same((await app.jwtSession.verify(token)).claims.roles, ['reader'], 'what claims returned')
    t.same(app.jwtSession.decode(token)?.claims, parse(token).claims)
  }],
  [['trusted', 'FST_JWT_AUTHORIZATION_TOKEN_UNTRUSTED'], async (t) => {
    const { app, client } = await buildApp(t)
    const token = (await client.login()).access_token
    const { sessionId, subject } = await app.jwtSession.verify(token)
    await app.jwtSession.revoke({ id: sessionId, subject })
    t.match(await client.get('/me', token), { statusCode: 401, code: 'SESSION_REVOKED' })
  }],
  [['secret'], async (t) => {
    await t.rejects(buildApp(t, { secret: (() => SECRET) as never }), { code: 'FST_JWT_SESSION_OPTION_INVALID', message: /secret/ })
    const { client } = await buildApp(t, { secret: undefined, keys: [{ kid: 'a', algorithm: 'HS256', secret: SECRET }] })
    t.equal((await client.get('/me', (await client.login()).access_token)).statusCode, 200)
  }],
  [['cookie', 'FST_JWT_NO_AUTHORIZATION_IN_COOKIE'], async (t) => {
    const { app } = await buildApp(t, { locations: ['cookie'] })
    const browser = browserOf(app)
    t.match(await browser.send('GET', '/me'), { statusCode: 401, code: 'TOKEN_MISSING' })
    await browser.login()
    t.equal((await browser.send('POST', '/me')).statusCode, 200)
    t.equal((await browser.send('POST', '/me', { headers: { 'sec-fetch-site': 'cross-site' } })).code, 'CSRF_FAILED')
  }],
  [['namespace'], async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    for (const issuer of ['one', 'two']) {
      await app.register(async (child) => {
        await child.register(jwtSession, { secret: SECRET, userLookup: lookupIn(makeUsers()), passwords: plainPasswords, issuer })
        child.get('/me', { onRequest: [child.authenticate] }, ({ auth }) => auth.claims.iss)
      }, { prefix: `/${issuer}` })
    }
    const login = await app.inject({ method: 'POST', url: '/one/login', payload: { username: 'alice', password: 'wonderland' } })
    const token = login.json().access_token
    t.equal((await clientOf(app).get('/one/me', token)).body, 'one')
    t.equal((await clientOf(app).get('/two/me', token)).code, 'TOKEN_INVALID')
  }],
  [['messages'], async (t) => {
    const { app, client } = await buildApp(t)
    app.setErrorHandler((error, _request, reply) => isSessionError(error) ? reply.code(error.statusCode).send({ note: 'No' }) : reply.send(error))
    t.same((await client.get('/me')).json(), { note: 'No' })
  }],
  [['FST_JWT_NO_AUTHORIZATION_IN_HEADER', 'FST_JWT_AUTHORIZATION_TOKEN_INVALID', 'FST_JWT_AUTHORIZATION_TOKEN_EXPIRED'], async (t) => {
    const clock = stopClock(t)
    const { app, client } = await buildApp(t)
    await app.register(fastifyJwt, { secret: SECRET, sign: { expiresIn: '5m' } })
    app.get('/host', async (request) => await request.jwtVerify())
    const [own, ours] = [app.jwt.sign({ sub: 'user-alice' }), (await client.login()).access_token]
    t.equal((await client.get('/host', own)).json().sub, 'user-alice', 'it serves its routes beside the plugin')
    const codes = async () => Promise.all([['/host'], ['/me'], ['/host', own], ['/me', own], ['/me', ours], ['/me', 'x.y.z']].map(async ([url, token]) => (await client.get(url as string, token)).code))
    t.same(await codes(), ['FST_JWT_NO_AUTHORIZATION_IN_HEADER', 'TOKEN_MISSING', undefined, 'TOKEN_INVALID', undefined, 'TOKEN_INVALID'])
    clock.advance(900)
    t.same(await codes(), ['FST_JWT_NO_AUTHORIZATION_IN_HEADER', 'TOKEN_MISSING', 'FST_JWT_AUTHORIZATION_TOKEN_EXPIRED', 'TOKEN_INVALID', 'TOKEN_EXPIRED', 'TOKEN_INVALID'])
  }]
]

t.test('@fastify/jwt', async (t) => await proveRows(t, 'Come from hand-rolled @fastify/jwt', rows))

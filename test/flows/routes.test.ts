import { once } from 'node:events'
import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import jwtSession from '../../lib'
import { buildApp, clientOf, lookupIn, makeUsers, plainPasswords, SECRET, type TestApp, type TestUser } from '../support/app'
import { stopClock } from '../support/clock'

type Options = NonNullable<Parameters<typeof buildApp>[1]>
type Create = NonNullable<jwtSession.UserLookup<TestUser>['create']>

/** An application where users register themselves, and all that `create` was given. */
async function buildRegister (t: Test, options: Options = {}, create?: Create, server?: Parameters<typeof buildApp>[2]): Promise<TestApp & { inputs: jwtSession.NewUser[] }> {
  const users = makeUsers()
  const inputs: jwtSession.NewUser[] = []
  const userLookup: jwtSession.UserLookup<TestUser> = {
    ...lookupIn(users),
    create: create ?? ((input) => {
      inputs.push(input)
      const user = { id: `user-${String(input.username)}`, roles: [], ...input }
      users.set(String(input.username), user)
      return user
    })
  }
  const built = await buildApp(t, { userLookup, routes: { register: true }, ...options }, server)
  return { ...built, users, inputs }
}

t.test('POST /register makes a user and logs in', async (t) => {
  const { client, inputs, events } = await buildRegister(t)
  const answer = await client.post('/register', { username: 'carol', password: 'chocolate', roles: ['admin'], id: 'user-alice' })
  t.equal(answer.statusCode, 201)
  t.equal(answer.headers['cache-control'], 'no-store')
  t.match(answer.json(), { token_type: 'Bearer', expires_in: 900 })
  t.match((await client.get('/me', answer.json().access_token)).json(), { subject: 'user-carol', fresh: true, claims: { roles: [] } })
  t.equal((await client.post('/login', { username: 'carol', password: 'chocolate' })).statusCode, 200)

  t.same(Object.keys(inputs[0] ?? {}).sort(), ['passwordHash', 'username'], 'what no schema names goes no further')
  t.equal(inputs[0]?.passwordHash, 'plain:chocolate')
  t.equal(inputs[0]?.password, 'chocolate', 'the password can be looked at')
  t.notMatch(JSON.stringify({ ...inputs[0] }), '"chocolate"', 'and is not kept by keeping the input')
  t.same(events.map(({ name }) => name), ['login.succeeded', 'login.succeeded'])
})

t.test('a name that is taken is refused, also one that is taken meanwhile', async (t) => {
  const { client, inputs } = await buildRegister(t)
  t.match(await client.post('/register', { username: 'alice', password: 'chocolate' }), { statusCode: 409, code: 'USERNAME_TAKEN' })
  t.same(inputs, [])
  const raced = await buildRegister(t, {}, () => null)
  t.match(await raced.client.post('/register', { username: 'carol', password: 'chocolate' }), { statusCode: 409, code: 'USERNAME_TAKEN' })
})

t.test('what cannot be a user is refused', async (t) => {
  const { client, inputs } = await buildRegister(t, {
    passwords: {
      ...plainPasswords,
      hash (password) {
        if (password === 'of-too-many-bytes') throw new RangeError('too long')
        return plainPasswords.hash(password)
      }
    }
  })
  for (const body of [{}, { username: 'carol' }, { username: 'carol', password: '' }, { username: ['carol'], password: 'x' }, { username: '', password: 'x' }]) {
    t.match(await client.post('/register', body), { statusCode: 400, code: 'REQUEST_INVALID' }, JSON.stringify(body))
  }
  t.match(await client.post('/register', { username: 'carol', password: 'of-too-many-bytes' }), { statusCode: 400, code: 'REQUEST_INVALID' })
  t.same(inputs, [])
})

t.test('who hangs up during POST /register frees the place in the queue, and makes no user', async (t) => {
  let begin = (): void => {}
  const begun = new Promise<void>((resolve) => { begin = resolve })
  const lines: string[] = []
  const logger = { level: 'error', stream: { write: (line: string) => { lines.push(line) } } }
  const { app, inputs } = await buildRegister(t, {
    passwords: {
      ...plainPasswords,
      async hash (password, { signal } = {}) {
        if (signal === undefined) return await plainPasswords.hash(password)
        begin()
        await once(signal, 'abort')
        return signal.throwIfAborted() as never
      }
    }
  }, undefined, { logger })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const ended = new Promise((resolve) => app.jwtSession.events.once('request.refused', ({ code }) => resolve(code)))
  const { port } = app.server.address() as AddressInfo
  const sent = request({ host: '127.0.0.1', port, path: '/register', method: 'POST', headers: { 'content-type': 'application/json' } })
  sent.on('error', () => {})
  sent.end(JSON.stringify({ username: 'carol', password: 'chocolate' }))
  await begun
  sent.destroy()
  t.equal(await ended, 'FST_JWT_SESSION_REQUEST_INVALID')
  t.same(inputs, [])
  t.same(lines, [], 'and is no error in the log')
})

t.test('an error of create is answered as it is when it speaks to the client, and is 503 otherwise', async (t) => {
  const weak = await buildRegister(t, {}, () => { throw Object.assign(new Error('Choose a longer one'), { statusCode: 422, code: 'WEAK_PASSWORD' }) })
  t.match(await weak.client.post('/register', { username: 'carol', password: 'x' }), { statusCode: 422, code: 'WEAK_PASSWORD' })
  for (const error of [new Error('down'), Object.assign(new Error('down'), { statusCode: 500 }), undefined]) {
    const down = await buildRegister(t, {}, async () => await Promise.reject(error))
    t.match(await down.client.post('/register', { username: 'carol', password: 'x' }), { statusCode: 503, code: 'STORE_UNAVAILABLE' })
  }
})

t.test('bodies can be extended by a schema', async (t) => {
  const bodySchema = Type.Object({ email: Type.String({ format: undefined as never, pattern: '@' }), age: Type.Optional(Type.Integer()) })
  const { client, inputs } = await buildRegister(t, { routes: { register: { bodySchema } } })
  t.equal((await client.post('/register', { username: 'carol', password: 'x', email: 'nobody' })).code, 'REQUEST_INVALID')
  t.equal((await client.post('/register', { username: 'carol', password: 'x', email: 'c@example.com', roles: ['admin'] })).statusCode, 201)
  t.same(Object.keys(inputs[0] ?? {}).sort(), ['email', 'passwordHash', 'username'])

  const seen: unknown[] = []
  const users = makeUsers()
  const userLookup = {
    ...lookupIn(users),
    findByUsername (username: string, request: FastifyRequest) {
      seen.push((request.body as { tenant: string }).tenant)
      return users.get(username)
    }
  }
  const tenant = Type.Object({ tenant: Type.String() })
  const routes = { login: { bodySchema: tenant }, refresh: { bodySchema: tenant }, logout: { bodySchema: tenant } }
  const other = await buildApp(t, { userLookup, routes })
  t.equal((await other.client.post('/login', { username: 'alice', password: 'wonderland' })).code, 'REQUEST_INVALID')
  const tokens = (await other.client.post('/login', { username: 'alice', password: 'wonderland', tenant: 'acme' })).json()
  t.same(seen, ['acme'])
  t.equal((await other.client.post('/refresh', { refresh_token: tokens.refresh_token })).code, 'REQUEST_INVALID')
  const renewed = (await other.client.post('/refresh', { refresh_token: tokens.refresh_token, tenant: 'acme' })).json()
  t.equal((await other.client.post('/logout', { refresh_token: renewed.refresh_token })).code, 'REQUEST_INVALID')
  t.equal((await other.client.post('/logout', { refresh_token: renewed.refresh_token, tenant: 'acme' })).statusCode, 204)
})

t.test('options of routes that make no sense are refused', async (t) => {
  const wrong: [string, object][] = [
    ['userLookup', { routes: { register: true } }],
    ['routes.sessions.bodySchema', { routes: { sessions: { bodySchema: Type.Object({}) } } }],
    ['routes.login.bodySchema', { routes: { login: { bodySchema: { type: 'object', properties: {} } } } }],
    ['routes.login.bodySchema', { routes: { login: { bodySchema: Type.Object({ password: Type.Number() }) } } }],
    ['routes.logout.bodySchema', { routes: { logout: { bodySchema: Type.Object({ everywhere: Type.String() }) } } }],
    ['protectAll', { protectAll: 'yes' }]
  ]
  for (const [option, options] of wrong) {
    await t.rejects(buildApp(t, options as Options), { code: 'FST_JWT_SESSION_OPTION_INVALID', message: option }, option)
  }
})

t.test('GET /sessions lists the sessions of the subject, DELETE ends one of them', async (t) => {
  const clock = stopClock(t)
  const { app, client } = await buildApp(t, { routes: { sessions: true } })
  const one = await client.login()
  clock.advance(60)
  const other = (await app.inject({ method: 'POST', url: '/login', payload: { username: 'alice', password: 'wonderland' }, headers: { 'user-agent': 'Phone' } })).json()
  const bob = await client.login('bob', 'builder')

  t.match(await client.get('/sessions'), { statusCode: 401, code: 'TOKEN_MISSING' })
  const list = await client.get('/sessions', one.access_token)
  t.equal(list.headers['cache-control'], 'no-store')
  const [first, second, ...rest] = list.json() as { id: string, created_at: number }[]
  t.same(rest, [])
  t.match(first, { current: true, created_at: Number, last_seen_at: first?.created_at, expires_at: (first?.created_at ?? 0) + 604_800, user_agent: 'lightMyRequest', ip: '127.0.0.1' })
  t.match(second, { current: false, created_at: (first?.created_at ?? 0) + 60, user_agent: 'Phone' })

  const end = async (id: string, token: string) => await app.inject({ method: 'DELETE', url: `/sessions/${id}`, headers: { authorization: `Bearer ${token}` } })
  t.match(await end(second?.id ?? '', bob.access_token), { statusCode: 404 }, 'of somebody else')
  t.equal((await client.get('/me', other.access_token)).statusCode, 200)
  t.equal((await end(second?.id ?? '', one.access_token)).statusCode, 204)
  t.equal((await client.get('/me', other.access_token)).code, 'SESSION_REVOKED')
  t.equal((await end(second?.id ?? '', one.access_token)).json().code, 'FST_JWT_SESSION_SESSION_NOT_FOUND')
  for (const id of ['__proto__', 'x', '%00', encodeURIComponent("' or 1=1")]) t.match(await end(id, one.access_token), { statusCode: 404 }, id)
  t.equal((await end(first?.id ?? '', one.access_token)).statusCode, 204, 'its own')
  t.equal((await client.get('/me', one.access_token)).code, 'SESSION_REVOKED')
})

t.test('the session list shows when tokens were last renewed, and the nearer end', async (t) => {
  const clock = stopClock(t)
  const { client } = await buildApp(t, { routes: { sessions: '/devices' }, session: { idleTimeout: '1h', absoluteTimeout: '90m' } })
  const tokens = await client.login()
  clock.advance(3000)
  const renewed = (await client.refresh(tokens.refresh_token)).json()
  const [session] = (await client.get('/devices', renewed.access_token)).json() as [Record<string, number>]
  t.match(session, { last_seen_at: (session.created_at ?? 0) + 3000, expires_at: (session.created_at ?? 0) + 5400 })
})

t.test('without being switched on, the routes do not exist', async (t) => {
  const { client } = await buildApp(t)
  t.equal((await client.post('/register', { username: 'carol', password: 'x' })).statusCode, 404)
  t.equal((await client.get('/sessions')).statusCode, 404)
})

t.test('protectAll guards every route but those that say otherwise', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.get('/earlier', async () => 'declared before')
  await app.register(jwtSession, { secret: SECRET, userLookup: lookupIn(makeUsers()), passwords: plainPasswords, protectAll: true, routes: { sessions: true } })
  app.get('/later', async ({ auth }) => auth.subject)
  app.get('/public', { config: { authenticate: false } }, async ({ auth }) => ({ auth }))
  app.get('/maybe', { config: { authenticate: { optional: true } } }, async ({ auth }) => ({ auth }))
  app.get('/sudo', { config: { authenticate: { maxAge: '10m' } } }, async () => 'ok')
  await app.register(async (child) => { child.get('/below', async () => 'below') })
  for (const requirements of [{ fresch: true }, true, null]) {
    t.throws(() => app.get('/wrong', { config: { authenticate: requirements as never } }, async () => 'x'), { code: 'FST_JWT_SESSION_OPTION_INVALID' })
  }
  const client = clientOf(app)
  const clock = stopClock(t)
  const { access_token: token, refresh_token: refreshToken } = await client.login()

  for (const url of ['/earlier', '/later', '/below', '/sudo', '/sessions']) {
    t.equal((await client.get(url)).code, 'TOKEN_MISSING', url)
    t.equal((await client.get(url, token)).statusCode, 200, url)
    t.equal((await app.inject({ method: 'HEAD', url })).statusCode, 401, `HEAD ${url}`)
  }
  for (const url of ['/public', '/maybe']) t.same((await client.get(url)).json(), { auth: null }, url)
  t.equal((await client.get('/maybe', 'x.y.z')).code, 'TOKEN_INVALID')
  t.equal((await client.get('/nowhere')).statusCode, 404)
  clock.advance(601)
  t.equal((await client.get('/sudo', token)).code, 'REAUTHENTICATION_REQUIRED')
  t.equal((await client.refresh(refreshToken)).statusCode, 200, 'the routes of the plugin guard themselves')
})

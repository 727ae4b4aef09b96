import http from 'node:http'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import jwtSession, { authenticate, memoryStore } from '../../lib'
import { buildApp, lookupIn, makeUsers, plainPasswords, SECRET, type TestApp, type TestUser } from '../support/app'
import { browserOf } from '../support/browser'
import { reforge } from '../support/forge'

type Options = Parameters<typeof buildApp>[1]

const ACCESS = '__Host-access_token'

interface Asked extends TestApp {
  /** GETs a path with headers, and answers the code, or the source of the token. */
  ask (url: string, headers?: Record<string, string>): Promise<string | undefined>
  /** How often findById was asked since the last look. */
  lookups (): number
}

/** The application of all tests, with more routes, whose lookups are counted. */
async function build (t: Test, options: Options = {}, prepare: (app: FastifyInstance) => void = () => {}): Promise<Asked> {
  let count = 0
  const users = makeUsers()
  const lookup = lookupIn(users)
  const built = await buildApp(t, { userLookup: { ...lookup, findById: (id) => { count++; return lookup.findById(id) } }, ...options })
  prepare(built.app)
  return {
    ...built,
    users,
    async ask (url, headers = {}) {
      const answer = await built.app.inject({ url, headers })
      const body = answer.json() as { code?: string, source?: string } | null
      return body?.code?.replace('FST_JWT_SESSION_', '') ?? body?.source
    },
    lookups () {
      const before = count
      count = 0
      return before
    }
  }
}

/** Tokens of two sessions. */
async function twoTokens ({ app, users }: TestApp): Promise<[string, string]> {
  const [alice, bob] = await Promise.all(['alice', 'bob'].map(async (name) => await app.jwtSession.login(users.get(name) as TestUser)))
  return [(alice as jwtSession.TokenAnswer).access_token, (bob as jwtSession.TokenAnswer).access_token]
}

t.test('locations', async (t) => {
  const server = await build(t, { locations: ['header', 'cookie'] }, (app) => {
    const who = (request: { auth: jwtSession.Auth | null }) => request.auth
    app.get('/header', { onRequest: [app.authenticate({ locations: ['header'] })] }, who)
    app.get('/cookie', { onRequest: [app.authenticate({ locations: ['cookie'] })] }, who)
    app.get('/link', { onRequest: [app.authenticate({ locations: ['query', 'header'] })] }, who)
    app.post('/form', { preValidation: [app.authenticate({ locations: ['body'] })] }, who)
    app.post('/early', { onRequest: [app.authenticate({ locations: ['body'] })] }, who)
    app.get('/either', { onRequest: [app.authenticate({ optional: true, locations: ['query'] })] }, who)
    app.get('/nested', { onRequest: [app.authenticate, app.authenticate({ locations: ['cookie'] })] }, who)
    app.get('/nested-claims', { onRequest: [app.authenticate({ locations: ['query'] }), app.requireClaims({ roles: 'admin' })] }, who)
  })
  const { ask, app } = server
  const [token, other] = await twoTokens(server)
  const bearer = { authorization: `Bearer ${token}` }
  const inCookie = (text: string) => ({ cookie: `${ACCESS}=${text}` })

  t.test('are looked at in order, and the first that holds a token is the source', async (t) => {
    t.equal(await ask('/me', bearer), 'header')
    t.equal(await ask('/me', inCookie(token)), 'cookie')
    t.equal(await ask('/me', { ...bearer, ...inCookie(token) }), 'header', 'the same token in both')
    t.equal(await ask('/me', { authorization: 'Basic YTpi', ...inCookie(token) }), 'cookie', 'another scheme is none of ours')
    t.equal(await ask('/me', { cookie: `${ACCESS}=` }), 'TOKEN_MISSING')
  })

  t.test('two that differ are refused, even if both are good, and even if one is bad', async (t) => {
    for (const [one, two] of [[token, other], [token, 'x'], ['x', token], ['', token], [reforge(token, { exp: 1 }), token], [reforge(token, {}, {}, 'x'), token]] as const) {
      for (const url of ['/me', '/maybe', '/admin', '/nested']) {
        t.equal(await ask(url, { authorization: `Bearer ${one}`, ...inCookie(two) }), 'REQUEST_INVALID', `${url}: ${one} and ${two}`)
      }
    }
    t.equal(await ask('/me', { authorization: 'Bearer', ...inCookie(token) }), 'REQUEST_INVALID')
    t.equal(await ask('/me', { authorization: `Bearer${token}`, ...inCookie(token) }), 'REQUEST_INVALID')
    t.equal(await ask(`/link?access_token=${token}`, { authorization: `Bearer ${other}` }), 'REQUEST_INVALID')
  })

  t.test('of a route are its own', async (t) => {
    t.equal(await ask('/header', inCookie(token)), 'TOKEN_MISSING')
    t.equal(await ask('/header', { ...bearer, ...inCookie(other) }), 'header', 'it does not look elsewhere')
    t.equal(await ask('/cookie', bearer), 'TOKEN_MISSING')
    t.equal(await ask('/cookie', { authorization: 'Bearer x', ...inCookie(token) }), 'cookie')
    t.equal(await ask('/either', bearer), undefined, 'optional: there is none where it looks')
  })

  t.test('query and body are for routes that ask for them', async (t) => {
    t.equal(await ask(`/me?access_token=${token}`), 'TOKEN_MISSING')
    t.equal(await ask(`/link?access_token=${token}`), 'query')
    t.equal(await ask('/link', bearer), 'header')
    t.equal(await ask(`/link?access_token=${token}&access_token=${token}`), 'REQUEST_INVALID')
    t.equal(await ask('/link?access_token=x'), 'TOKEN_INVALID')
    t.equal(await ask('/link?access_token='), 'TOKEN_INVALID')
    t.equal(await ask('/either?access_token=x'), 'TOKEN_INVALID', 'a bad one still fails')
    t.equal(await ask('/link?x=1'), 'TOKEN_MISSING')

    const post = async (url: string, payload: unknown) => {
      const answer = await app.inject({ method: 'POST', url, ...(payload === undefined ? {} : { payload: JSON.stringify(payload), headers: { 'content-type': 'application/json' } }) })
      return answer.json().code?.replace('FST_JWT_SESSION_', '') ?? answer.json().source
    }
    t.equal(await post('/form', { access_token: token }), 'body')
    t.equal(await post('/early', { access_token: token }), 'TOKEN_MISSING', 'onRequest is before the body')
    for (const body of [undefined, null, {}, [], 'x', 1, { Access_Token: token }]) t.equal(await post('/form', body), 'TOKEN_MISSING', JSON.stringify(body))
    for (const value of [null, 1, [token], { token }, true]) t.equal(await post('/form', { access_token: value }), 'REQUEST_INVALID', JSON.stringify(value))
    t.equal(await post('/me', { access_token: token }), 'TOKEN_MISSING')
  })

  t.test('of a nested guard hold for what a guard before it accepted', async (t) => {
    t.equal(await ask('/nested', inCookie(token)), 'cookie')
    t.equal(await ask('/nested', bearer), 'TOKEN_MISSING')
    t.equal(await ask(`/nested-claims?access_token=${token}`), 'query', 'a guard that names none takes what is there')
    t.equal(await ask(`/nested-claims?access_token=${other}`), 'CLAIMS_INSUFFICIENT')
  })

  t.test('that make no sense are refused when the route is declared, cookies without cookies when it is called', async (t) => {
    for (const locations of [[], ['cookies'], 'cookie', ['header', 'header'], null, [null]]) {
      t.throws(() => authenticate({ locations: locations as never }), { code: 'FST_JWT_SESSION_OPTION_INVALID' }, JSON.stringify(locations))
    }
    const bare = await build(t, {}, (app) => {
      app.get('/cookie', { onRequest: [app.authenticate({ locations: ['cookie'] })] }, () => 'in')
    })
    t.equal(await bare.ask('/cookie', { cookie: `${ACCESS}=x` }), 'OPTION_INVALID')
  })
})

t.test('the header and its schemes are those of the option', async (t) => {
  const cases: [jwtSession.AuthorizationOptions, string, [value: string, code: string | undefined][]][] = [
    [{ schemes: ['JWT', 'jwt2'] }, 'authorization', [
      ['JWT $', 'header'], ['jwt $', 'header'], ['JWT2 $', 'header'], ['Bearer $', 'TOKEN_MISSING'], ['$', 'TOKEN_MISSING'], ['JWT', 'TOKEN_INVALID'], ['JWT$', 'TOKEN_INVALID'],
      ['JWT  $', 'TOKEN_INVALID'], ['JWT3 $', 'TOKEN_INVALID']
    ]],
    [{ header: 'X-Access-Token', schemes: [''] }, 'x-access-token', [['$', 'header'], ['Bearer $', 'TOKEN_INVALID'], ['', 'TOKEN_INVALID'], ['$, $', 'TOKEN_INVALID']]],
    [{ header: 'x-access-token', schemes: ['', 'Bearer'] }, 'x-access-token', [['$', 'header'], ['bearer $', 'header'], ['Basic $', 'TOKEN_INVALID']]]
  ]
  for (const [authorization, header, values] of cases) {
    const server = await build(t, { authorization })
    const [token] = await twoTokens(server)
    for (const [value, expected] of values) t.equal(await server.ask('/me', { [header]: value.replaceAll('$', token) }), expected, `${JSON.stringify(authorization)}: ${value}`)
    if (header === 'authorization') continue
    t.equal(await server.ask('/me', { authorization: `Bearer ${token}` }), 'TOKEN_MISSING')
    await server.app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = server.app.server.address() as { port: number }
    const answer = await fetch(`http://127.0.0.1:${port}/me`, { headers: [[header, token], [header, token]] })
    t.match(await answer.json(), { code: 'FST_JWT_SESSION_TOKEN_INVALID' }, 'fetch joins the two')
    const logout = await server.app.inject({ method: 'POST', url: '/logout', headers: { [header]: token } })
    t.equal(logout.statusCode, 204)
  }
})

t.test('a header that is repeated is refused, whatever its name', async (t) => {
  const server = await build(t, { authorization: { header: 'x-access-token', schemes: [''] } })
  const [token] = await twoTokens(server)
  await server.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.app.server.address() as { port: number }
  const status = await new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, path: '/me', headers: ['X-Access-Token', token, 'x-access-token', token, 'Host', 'x'] as never }, (response) => {
      response.resume()
      resolve(response.statusCode)
    }).on('error', reject)
  })
  t.equal(status, 400)
})

t.test('audience', async (t) => {
  const seen: unknown[] = []
  const server = await build(t, { audience: ['web', 'reports'] }, (app) => {
    const who = (request: { auth: jwtSession.Auth }) => request.auth
    app.get('/reports', { onRequest: [app.authenticate({ audience: 'reports' })] }, who)
    app.get('/payroll', { onRequest: [app.authenticate({ audience: 'payroll' })], errorHandler: (error, request) => { seen.push(request.auth); throw error } }, who)
    app.get('/optional', { onRequest: [app.authenticate({ optional: true, audience: 'payroll' })] }, who)
    app.get('/nested', { onRequest: [app.authenticate, app.authenticate({ audience: 'payroll' })] }, who)
  })
  const [token] = await twoTokens(server)
  const of = (aud: unknown) => ({ authorization: `Bearer ${reforge(token, { aud })}` })
  t.equal(await server.ask('/reports', of(['web', 'reports'])), 'header')
  t.equal(await server.ask('/reports', of('reports')), 'header', 'a string is a list of one')
  t.equal(await server.ask('/reports', of('web')), 'TOKEN_INVALID')
  t.equal(await server.ask('/me', of('web')), 'header')
  for (const url of ['/payroll', '/optional', '/nested']) t.equal(await server.ask(url, of(['web', 'reports'])), 'TOKEN_INVALID', url)
  t.equal(await server.ask('/optional'), undefined)
  t.same(seen, [null], 'request.auth is filled by a guard that is content only')
  t.equal(await server.ask('/payroll', of(['web', 'payroll'])), 'header')
  for (const audience of ['', 1, ['web'], null]) t.throws(() => authenticate({ audience: audience as never }), { code: 'FST_JWT_SESSION_OPTION_INVALID' })
})

t.test('what a guard refuses as too old does not fill request.auth either', async (t) => {
  const seen: unknown[] = []
  const server = await build(t, {}, (app) => {
    app.get('/strict', { onRequest: [app.authenticate({ fresh: true })], errorHandler: (error, request) => { seen.push(request.auth); throw error } }, () => 'in')
  })
  const { access_token: token } = (await server.client.refresh((await server.client.login()).refresh_token)).json()
  t.equal(await server.ask('/strict', { authorization: `Bearer ${token as string}` }), 'REAUTHENTICATION_REQUIRED')
  t.same(seen, [null])
})

t.test('what requireClaims refuses does not fill request.auth either, also when a predicate takes its time', async (t) => {
  const seen: unknown[] = []
  const server = await build(t, {}, (app) => {
    for (const [url, roles] of [['/now', 'admin'], ['/later', async () => false]] as const) {
      app.get(url, { onRequest: [app.requireClaims({ roles })], errorHandler: (error, request) => { seen.push(request.auth); throw error } }, () => 'in')
    }
  })
  const { access_token: token } = await server.client.login('bob', 'builder')
  for (const url of ['/now', '/later']) t.equal(await server.ask(url, { authorization: `Bearer ${token}` }), 'CLAIMS_INSUFFICIENT')
  t.same(seen, [null, null])
})

t.test('loadUser', async (t) => {
  type Auth = jwtSession.Auth
  const prepare = (app: FastifyInstance): void => {
    const user = ({ auth }: { auth: Auth }) => ({ user: auth.user?.id ?? null, lazy: typeof auth.loadUser })
    app.get('/default', { onRequest: [app.authenticate] }, user)
    app.get('/eager', { onRequest: [app.authenticate({ loadUser: true })] }, user)
    app.get('/off', { onRequest: [app.authenticate({ loadUser: false })] }, user)
    app.get('/off-then-claims', { onRequest: [app.authenticate({ loadUser: false }), app.requireClaims({ roles: 'admin' })] }, user)
    app.get('/eager-then-claims', { onRequest: [app.authenticate({ loadUser: true }), app.requireClaims({ roles: 'admin' })] }, user)
    app.get('/claims', { onRequest: [app.requireClaims({ roles: 'admin' })] }, user)
    app.get('/eager-thrice', { onRequest: [app.authenticate({ loadUser: true }), app.authenticate({ loadUser: true }), app.authenticate] }, user)
    app.get('/optional', { onRequest: [app.authenticate({ optional: true, loadUser: true })] }, ({ auth }) => auth)
    app.get('/refused', { onRequest: [app.authenticate({ loadUser: true, audience: 'nobody' })] }, user)

    const call = async ({ auth }: { auth: Auth }) => {
      const users = await Promise.all([auth.loadUser?.(), auth.loadUser?.(), auth.loadUser?.()])
      return { user: users[0]?.id, same: users[0] === users[1] && users[1] === users[2], eager: auth.user?.id ?? null }
    }
    app.get('/lazy', { onRequest: [app.authenticate({ loadUser: 'lazy' })] }, call)
    app.get('/lazy-unused', { onRequest: [app.authenticate({ loadUser: 'lazy' })] }, user)
    app.get('/lazy-twice', { onRequest: [app.authenticate({ loadUser: 'lazy' }), app.authenticate({ loadUser: 'lazy' })] }, call)
    app.get('/eager-then-lazy', { onRequest: [app.authenticate({ loadUser: true }), app.authenticate({ loadUser: 'lazy' })] }, call)
    app.get('/lazy-then-eager', {
      onRequest: [app.authenticate({ loadUser: 'lazy' }), async ({ auth }: { auth: Auth }) => { await auth.loadUser?.() }, app.authenticate({ loadUser: true })]
    }, call)
    app.get('/plain', { onRequest: [app.authenticate({ loadUser: true })] }, ({ auth }) => ({ auth, keys: Object.keys(auth), frozen: Object.isFrozen(auth) }))
  }
  async function open (t: Test, options: Options = {}): Promise<Asked & { body: (url: string) => Promise<Record<string, unknown>>, headers: Record<string, string> }> {
    const server = await build(t, options, prepare)
    const [token] = await twoTokens(server)
    server.lookups()
    const headers = { authorization: `Bearer ${token}` }
    return { ...server, headers, body: async (url) => (await server.app.inject({ url, headers })).json() }
  }

  t.test('off: nobody is asked', async (t) => {
    const { body, lookups } = await open(t)
    for (const url of ['/default', '/off', '/off-then-claims', '/claims']) t.same(await body(url), { user: null, lazy: 'undefined' }, url)
    t.equal(lookups(), 0)
  })

  t.test('eager: the user is there, found once for a request, whatever guards come after', async (t) => {
    const { body, lookups, ask } = await open(t)
    for (const url of ['/eager', '/eager-then-claims', '/eager-thrice']) {
      t.same(await body(url), { user: 'user-alice', lazy: 'undefined' }, url)
      t.equal(lookups(), 1, url)
    }
    t.equal(await ask('/optional'), undefined, 'nobody is looked for when nobody asks')
    t.equal((await body('/refused')).code, 'FST_JWT_SESSION_TOKEN_INVALID')
    t.equal(lookups(), 0)
  })

  t.test('lazy: the user is found when it is asked for, once for a request', async (t) => {
    const { body, lookups } = await open(t)
    t.same(await body('/lazy-unused'), { user: null, lazy: 'function' })
    t.equal(lookups(), 0)
    for (const url of ['/lazy', '/lazy-twice']) {
      t.same(await body(url), { user: 'user-alice', same: true, eager: null }, url)
      t.equal(lookups(), 1, url)
    }
    for (const url of ['/eager-then-lazy', '/lazy-then-eager']) {
      t.same(await body(url), { user: 'user-alice', same: true, eager: 'user-alice' }, url)
      t.equal(lookups(), 1, url)
    }
  })

  t.test('the option is what guards do that say nothing', async (t) => {
    const eager = await open(t, { loadUser: true })
    for (const url of ['/default', '/claims']) t.same(await eager.body(url), { user: 'user-alice', lazy: 'undefined' }, url)
    for (const url of ['/off', '/off-then-claims']) t.same(await eager.body(url), { user: null, lazy: 'undefined' }, `${url}: the route has its way`)
    const lazy = await open(t, { loadUser: 'lazy' })
    t.same(await lazy.body('/default'), { user: null, lazy: 'function' })
  })

  t.test('a user who is gone or disabled is refused', async (t) => {
    const { ask, users, headers, body } = await open(t)
    const alice = users.get('alice') as TestUser
    alice.disabled = true
    for (const url of ['/eager', '/lazy', '/eager-then-claims', '/optional']) t.equal(await ask(url, headers), 'SESSION_REVOKED', url)
    t.same(await body('/off'), { user: null, lazy: 'undefined' })
    users.delete('alice')
    for (const url of ['/eager', '/lazy']) t.equal(await ask(url, headers), 'SESSION_REVOKED', url)
  })

  t.test('a lookup that fails lets nobody in', async (t) => {
    let isDown = false
    const lookup = lookupIn(makeUsers())
    const findById = (id: string) => {
      if (isDown) throw new Error('down')
      return lookup.findById(id)
    }
    const { ask, headers } = await open(t, { userLookup: { ...lookup, findById } })
    t.equal(await ask('/eager', headers), undefined)
    isDown = true
    for (const url of ['/eager', '/lazy', '/optional', '/eager-then-claims']) t.equal(await ask(url, headers), 'STORE_UNAVAILABLE', url)
    t.equal(await ask('/optional'), undefined)
  })

  t.test('what is made of request.auth holds no user', async (t) => {
    const { body } = await open(t)
    const { auth, keys, frozen } = await body('/plain') as { auth: object, keys: string[], frozen: boolean }
    t.same(Object.keys(auth), keys)
    t.notOk(keys.includes('user'))
    t.ok(frozen)
    t.notMatch(JSON.stringify(auth), 'wonderland')
  })
})

t.test('guards that look at cookies refuse forged requests, in every position and combination', async (t) => {
  const server = await build(t, { locations: ['cookie'] }, (app) => {
    const ok = () => ({ source: 'in' })
    app.route({ method: ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'], url: '/any', onRequest: [app.authenticate], handler: ok })
    app.post('/optional', { onRequest: [app.authenticate({ optional: true })] }, ok)
    app.post('/claims', { onRequest: [app.requireClaims({ roles: 'admin' })] }, ok)
    app.post('/late', { preHandler: [app.authenticate({ locations: ['cookie'] })] }, ok)
    app.post('/by-hand', async (request, reply) => { await app.authenticate(request, reply); return ok() })
  })
  const browser = browserOf(server.app)
  await browser.login()
  const cross = { headers: { 'sec-fetch-site': 'cross-site' } }
  for (const url of ['/any', '/optional', '/claims', '/late', '/by-hand']) {
    t.equal((await browser.send('POST', url)).statusCode, 200, url)
    t.equal((await browser.send('POST', url, cross)).code, 'CSRF_FAILED', url)
  }
  for (const method of ['PUT', 'PATCH', 'DELETE']) t.equal((await browser.send(method, '/any', cross)).code, 'CSRF_FAILED', method)
  for (const method of ['GET', 'HEAD', 'OPTIONS']) t.equal((await browser.send(method, '/any', cross)).statusCode, 200, method)
  t.equal((await browserOf(server.app).send('POST', '/optional', cross)).statusCode, 200, 'without a token nothing is forged')
  t.equal((await browser.send('POST', '/any', { headers: { ...cross.headers, 'x-http-method-override': 'GET' } })).code, 'CSRF_FAILED')
})

t.test('guards of two registrations read the cookies of their own', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  for (const name of ['one', 'two']) {
    await app.register(async (child) => {
      await child.register(jwtSession, {
        secret: SECRET, userLookup: lookupIn(makeUsers()), passwords: plainPasswords, revocationStore: memoryStore(), locations: ['cookie'], issuer: name, cookie: { accessName: `__Host-${name}`, refreshName: `__Secure-${name}` }
      })
      child.get('/me', { onRequest: [authenticate] }, ({ auth }) => auth.claims.iss)
    }, { prefix: `/${name}` })
  }
  const browser = browserOf(app)
  for (const name of ['one', 'two']) await browser.send('POST', `/${name}/login`, { body: { username: 'bob', password: 'builder' } })
  for (const name of ['one', 'two']) t.equal((await browser.send('GET', `/${name}/me`)).body, name)
  t.equal((await browser.send('POST', '/one/logout')).statusCode, 204)
  t.equal((await browser.send('GET', '/one/me')).code, 'TOKEN_MISSING')
  t.equal((await browser.send('GET', '/two/me')).body, 'two')
})

import { generateKeyPairSync } from 'node:crypto'
import http2 from 'node:http2'
import Fastify from 'fastify'
import fastifyCookie from '@fastify/cookie'
import t, { type Test } from 'tap'
import jwtSession, { memoryStore } from '../../lib'
import { buildApp, clientOf, lookupIn, makeUsers, plainPasswords, SECRET, type Answer, type TestApp } from '../support/app'
import { browserOf, type Browser } from '../support/browser'
import { stopClock } from '../support/clock'
import { parse, reforge } from '../support/forge'

type Options = Parameters<typeof buildApp>[1]

const ACCESS = '__Host-access_token'
const REFRESH = '__Secure-refresh_token'
const options = () => ({ secret: SECRET, userLookup: lookupIn(makeUsers()), passwords: plainPasswords })

async function build (t: Test, options: Options = {}): Promise<TestApp & { browser: Browser }> {
  const built = await buildApp(t, { locations: ['cookie'], ...options })
  return { ...built, browser: browserOf(built.app) }
}

/** The value of a cookie that an answer set. */
function valueIn (answer: Answer, name: string): string {
  const header = [answer.headers['set-cookie'] ?? []].flat().find((one) => one.startsWith(`${name}=`)) ?? ''
  return header.slice(name.length + 1, header.indexOf(';'))
}

t.test('login, guarded routes, refresh, logout', async (t) => {
  stopClock(t)
  const { browser, events } = await build(t)
  const login = await browser.login()
  t.match(login.json(), { token_type: 'Bearer', expires_in: 900, refresh_expires_in: 604_800, csrf_token: /^[\w-]{22}$/ })
  t.same(Object.keys(login.json()).filter((name) => /access|refresh_token/.test(name)), [], 'no token in the body')
  t.equal(login.headers['cache-control'], 'no-store')

  t.match((await browser.send('GET', '/me')).json(), { subject: 'user-alice', source: 'cookie', fresh: true })
  t.equal((await browser.send('POST', '/me')).statusCode, 200)
  t.equal((await browser.send('GET', '/admin')).statusCode, 200)

  const before = browser.cookieFor('/refresh')
  const renewed = await browser.send('POST', '/refresh')
  t.match(renewed.json(), { csrf_token: login.json().csrf_token }, 'the session keeps its csrf_token')
  t.not(valueIn(renewed, REFRESH), before.split(`${REFRESH}=`)[1])
  t.equal((await browser.send('GET', '/me')).json().fresh, false, 'the new access token has replaced the old one')

  const logout = await browser.send('POST', '/logout')
  t.equal(logout.statusCode, 204)
  t.equal(browser.cookieFor('/refresh'), '', 'no cookie is left')
  t.equal((await browser.send('GET', '/me')).code, 'TOKEN_MISSING')
  t.equal((await browser.send('GET', '/me', { headers: { cookie: before } })).code, 'SESSION_REVOKED')
  t.equal((await browser.send('POST', '/refresh')).code, 'REFRESH_TOKEN_INVALID')
  t.same(events.map(({ name }) => name), ['login.succeeded', 'refresh.succeeded', 'session.revoked', 'refresh.refused'])
})

t.test('the refresh token is sent to refresh and logout only, and logs out when the access token is gone', async (t) => {
  const clock = stopClock(t)
  const { browser } = await build(t)
  await browser.login()
  t.match(browser.cookieFor('/refresh'), REFRESH)
  t.match(browser.cookieFor('/logout'), REFRESH)
  for (const path of ['/', '/me', '/login', '/refreshed', '/x/refresh']) t.notMatch(browser.cookieFor(path), REFRESH, path)

  clock.advance(900)
  t.equal(browser.cookieFor('/me'), '', 'a cookie lasts as long as its token')
  t.equal((await browser.send('GET', '/me')).code, 'TOKEN_MISSING')
  t.equal((await browser.send('GET', '/maybe')).body, 'null')
  const old = browser.cookieFor('/refresh')
  t.equal((await browser.send('POST', '/logout')).statusCode, 204)
  t.equal((await browser.send('POST', '/refresh', { headers: { cookie: old } })).code, 'REFRESH_TOKEN_INVALID')
})

t.test('each cookie lasts as long as its token does', async (t) => {
  const clock = stopClock(t)
  const { browser } = await build(t, { accessToken: { expiresIn: '1m' }, session: { idleTimeout: '1h', absoluteTimeout: '90m' } })
  const ages = (answer: Answer) => browser.setBy(answer).map((header) => /^([^=]+)=.*; Max-Age=(\d+)/.exec(header)?.slice(1).join(' '))
  t.same(ages(await browser.login()), [`${ACCESS} 60`, `${REFRESH} 3600`, `${REFRESH} 3600`])
  clock.advance(3590)
  const late = await browser.send('POST', '/refresh')
  t.same(ages(late), [`${ACCESS} 60`, `${REFRESH} 1810`, `${REFRESH} 1810`], 'the absolute end of the session is theirs')
  clock.advance(1800)
  t.same(ages(await browser.send('POST', '/refresh')), [`${ACCESS} 10`, `${REFRESH} 10`, `${REFRESH} 10`])
})

t.test('cookies that are not persistent have no lifetime, and are cleared all the same', async (t) => {
  const { browser } = await build(t, { cookie: { persistent: false } })
  const login = await browser.login()
  for (const header of browser.setBy(login)) t.notMatch(header, /Max-Age|Expires/)
  const logout = await browser.send('POST', '/logout')
  for (const header of browser.setBy(logout)) t.match(header, /=; Max-Age=0; /)
  t.equal(browser.cookieFor('/logout'), '')
})

t.test('names, attributes and paths are as the options say, in every answer', async (t) => {
  const cases: [NonNullable<Options>['cookie'], string[]][] = [
    [undefined, [`${ACCESS}; Path=/; HttpOnly; Secure; SameSite=Lax`, `${REFRESH}; Path=/refresh; HttpOnly; Secure; SameSite=Lax`, `${REFRESH}; Path=/logout; HttpOnly; Secure; SameSite=Lax`]],
    [{ secure: false }, ['access_token; Path=/; HttpOnly; SameSite=Lax', 'refresh_token; Path=/refresh; HttpOnly; SameSite=Lax', 'refresh_token; Path=/logout; HttpOnly; SameSite=Lax']],
    [{ domain: 'example.com', sameSite: 'strict' }, [
      '__Secure-access_token; Domain=example.com; Path=/; HttpOnly; Secure; SameSite=Strict',
      `${REFRESH}; Domain=example.com; Path=/refresh; HttpOnly; Secure; SameSite=Strict`, `${REFRESH}; Domain=example.com; Path=/logout; HttpOnly; Secure; SameSite=Strict`
    ]],
    [{ accessName: 'a', refreshName: '__Host-b', refreshPaths: ['/', '/'], sameSite: 'none' }, ['a; Path=/; HttpOnly; Secure; SameSite=None', '__Host-b; Path=/; HttpOnly; Secure; SameSite=None']]
  ]
  for (const [cookie, expected] of cases) {
    const { browser } = await build(t, { ...(cookie === undefined ? {} : { cookie }), session: { absoluteTimeout: '1h' } })
    for (const answer of [await browser.login(), await browser.send('POST', '/refresh'), await browser.send('POST', '/logout')]) {
      const headers = browser.setBy(answer).map((header) => header.replace(/=[^;]*/, '').replace(/ Max-Age=\d+;/, ''))
      t.same(headers, expected, JSON.stringify(cookie))
    }
  }
})

t.test('the paths of the refresh cookie are those of the routes, wherever the plugin is registered', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(async (child) => {
    await child.register(jwtSession, { ...options(), locations: ['cookie'], routes: { prefix: '/auth', refresh: '/renew', logout: { path: '/bye' } } })
  }, { prefix: '/api' })
  const browser = browserOf(app)
  await browser.send('POST', '/api/auth/login', { body: { username: 'alice', password: 'wonderland' } })
  t.same(Array.from(browser.jar.values(), ({ path }) => path), ['/', '/api/auth/renew', '/api/auth/bye'])
  t.equal((await browser.send('POST', '/api/auth/renew')).statusCode, 200)
  t.equal((await browser.send('POST', '/api/auth/bye')).statusCode, 204)

  for (const [outer, prefix, refresh, expected] of [
    ['/', '', '/refresh', ['/refresh', '/logout']], ['/api/', '/auth', '/refresh', ['/api/auth/refresh', '/api/auth/logout']],
    ['/api', '/auth/', '/refresh', ['/api/auth/refresh', '/api/auth/logout']], ['/api', '', '/', ['/api', '/api/logout']]
  ] as const) {
    const app = Fastify()
    t.teardown(() => app.close())
    const urls: string[] = []
    app.addHook('onRoute', ({ url }) => { urls.push(url) })
    await app.register(async (child) => {
      await child.register(jwtSession, { ...options(), locations: ['cookie'], routes: { prefix, refresh } })
    }, { prefix: outer })
    const slashed = browserOf(app)
    await slashed.send('POST', urls[0] as string, { body: { username: 'alice', password: 'wonderland' } })
    t.same(Array.from(slashed.jar.values(), ({ path }) => path).slice(1), expected)
    t.same(urls.slice(1), expected, 'as Fastify has it')
  }
})

for (const order of ['before', 'after', 'beside'] as const) {
  t.test(`a host that registers @fastify/cookie ${order} the plugin keeps its own cookies, in the same answer`, async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    if (order === 'before') await app.register(fastifyCookie, { secret: 'the secret of the host' })
    await app.register(jwtSession, { ...options(), locations: ['cookie'] })
    if (order === 'after') await app.register(fastifyCookie, { secret: 'the secret of the host' })
    await app.register(async (child) => {
      if (order === 'beside') await child.register(fastifyCookie, { secret: 'the secret of the host' })
      child.post('/signin', async (request, reply) => {
        reply.setCookie('first', '1', { path: '/' })
        const answer = app.jwtSession.deliver(reply, await app.jwtSession.login(makeUsers().get('bob') as never, request))
        reply.setCookie('last', '2', { path: '/', signed: true })
        return { ...answer, seen: request.cookies }
      })
      child.post('/signout', async (_request, reply) => {
        app.jwtSession.clearCookies(reply)
        return reply.clearCookie('first').send()
      })
    })
    const browser = browserOf(app)
    const answer = await browser.send('POST', '/signin', { headers: { cookie: 'a=b' } })
    t.match(answer.json(), { seen: { a: 'b' }, csrf_token: /./ })
    t.same(Array.from(browser.jar.keys()).sort(), [`${ACCESS} /`, `${REFRESH} /logout`, `${REFRESH} /refresh`, 'first /', 'last /'])
    t.equal((await browser.send('POST', '/refresh')).statusCode, 200)
    await browser.send('POST', '/signout')
    t.match(browser.cookieFor('/refresh'), /^last=/)
  })
}

t.test('login is delivered as the option says', async (t) => {
  const deliver: jwtSession.ChooseDelivery = ({ headers }) => headers['x-client'] === 'app' ? 'body' : 'cookie'
  const { browser, app } = await build(t, { locations: ['header', 'cookie'], deliver })
  const inCookies = await browser.login()
  t.equal(inCookies.json().access_token, undefined)
  const body = { username: 'bob', password: 'builder' }
  const native = browserOf(app, { 'x-client': 'app' })
  const inBody = await native.send('POST', '/login', { body })
  t.match(inBody.json(), { access_token: /./, refresh_token: /./ })
  t.equal(inBody.json().csrf_token, undefined)
  t.same(native.setBy(inBody), [])

  await t.test('and a refresh the way its token came', async (t) => {
    const renewed = await native.send('POST', '/refresh', { body: { refresh_token: inBody.json().refresh_token } })
    t.match(renewed.json(), { access_token: /./, refresh_token: /./ })
    t.same(native.setBy(renewed), [])
    const again = await browser.send('POST', '/refresh')
    t.equal(again.json().access_token, undefined)
    t.equal(browser.setBy(again).length, 3)
  })

  t.equal((await buildApp(t, { locations: ['header', 'cookie'] })).app.hasDecorator('jwtSession'), true)
  const both = await build(t, { locations: ['header', 'cookie'] })
  t.match((await both.browser.login()).json(), { access_token: /./ }, 'the body, unless cookies are the only place')
  const wrong = await build(t, { deliver: (() => 'mail') as never })
  t.equal((await wrong.browser.login()).code, 'OPTION_INVALID')
})

t.test('a login of the application delivers as the option says, and is not to be stored', async (t) => {
  const deliver: jwtSession.ChooseDelivery = ({ url }) => url.startsWith('/callback') ? 'cookie' : 'body'
  const { app, browser, users } = await build(t, { locations: ['header', 'cookie'], deliver })
  app.get('/callback', async (request, reply) => {
    app.jwtSession.deliver(reply, await app.jwtSession.login(users.get('alice') as never, request))
    return reply.redirect('/me')
  })
  app.get('/token', async (request, reply) => app.jwtSession.deliver(reply, await app.jwtSession.login(users.get('alice') as never, request)))
  const answer = await browser.send('GET', '/callback', { headers: { 'sec-fetch-site': 'cross-site' } })
  t.match(answer, { statusCode: 302, headers: { 'cache-control': 'no-store' } })
  t.equal((await browser.send('GET', '/me')).json().subject, 'user-alice')
  const token = await browserOf(app).send('GET', '/token')
  t.match(token, { headers: { 'cache-control': 'no-store' } })
  t.match(token.json(), { access_token: /./, refresh_token: /./ })
  t.equal(token.headers['set-cookie'], undefined)
  t.equal(token.json().csrf_token, undefined)
})

t.test('a session that was opened before there were cookies lives on in them', async (t) => {
  const store = memoryStore()
  const before = await buildApp(t, { revocationStore: store })
  const tokens = await before.client.login()
  t.equal(parse(tokens.access_token).claims.csrf, undefined)
  const { browser, app } = await build(t, { revocationStore: store, locations: ['header', 'cookie'], rotation: 'strict' })
  const cookie = `${ACCESS}=${tokens.access_token}; ${REFRESH}=${tokens.refresh_token}`
  t.equal((await browser.send('POST', '/me', { headers: { cookie } })).statusCode, 200, 'the browser vouches for it')
  t.equal((await browserOf(app, {}).send('POST', '/me', { headers: { cookie } })).code, 'CSRF_FAILED', 'nobody does')
  t.equal((await browserOf(app, {}).send('POST', '/me', { headers: { cookie, 'x-csrf-token': 'undefined' } })).code, 'CSRF_FAILED')

  const renewed = await browser.send('POST', '/refresh', { headers: { cookie } })
  t.equal(renewed.statusCode, 200)
  t.equal(renewed.json().csrf_token, undefined)
  t.equal((await browser.send('GET', '/me')).statusCode, 200)
  t.equal((await browser.send('POST', '/logout')).statusCode, 204)
  t.equal((await browser.send('GET', '/me')).code, 'TOKEN_MISSING')
})

t.test('a refresh token of the body that is put into a cookie is answered in cookies, under the same session', async (t) => {
  const { client, browser } = await build(t, { locations: ['header', 'cookie'] })
  const tokens = await client.login()
  const renewed = await browser.send('POST', '/refresh', { headers: { cookie: `${REFRESH}=${tokens.refresh_token}` } })
  t.match(renewed.json(), { csrf_token: parse(tokens.access_token).claims.csrf as string })
  t.equal((await browser.send('GET', '/me')).json().sessionId, parse(tokens.access_token).claims.sid)
  const both = await browser.send('POST', '/refresh', { body: { refresh_token: valueIn(renewed, REFRESH) } })
  t.equal(both.json().access_token, undefined, 'a token in both places came in the cookie')
})

t.test('only what is definite clears the cookies', async (t) => {
  const store = { ...memoryStore() }
  const { app, browser, users, events } = await build(t, { revocationStore: store, rotation: 'strict', cookie: { domain: 'example.com' } })
  let isOwn = false
  app.setErrorHandler((error: Error & { code: string }, _request, reply) => {
    if (!isOwn) throw error
    return reply.code(418).send({ grund: error.code })
  })
  await browser.login()
  const cookie = browser.cookieFor('/refresh')
  const isKept = () => browser.cookieFor('/refresh') === cookie

  const { read } = store
  store.read = () => { throw new Error('down') }
  t.match(await browser.send('POST', '/refresh'), { code: 'STORE_UNAVAILABLE', headers: { 'set-cookie': undefined } })
  t.match(await browser.send('POST', '/logout'), { code: 'STORE_UNAVAILABLE', headers: { 'set-cookie': undefined } })
  store.read = read
  t.equal((await browser.send('POST', '/refresh', { headers: { 'sec-fetch-site': 'cross-site' } })).code, 'CSRF_FAILED')
  t.equal((await browser.send('POST', '/refresh', { body: { refresh_token: 'x' } })).code, 'REQUEST_INVALID')
  t.equal((await browser.send('POST', '/refresh', { body: { refresh_token: 1 } })).code, 'REQUEST_INVALID')
  t.ok(isKept())

  isOwn = true
  ;(users.get('alice') as { disabled?: boolean }).disabled = true
  const refused = await browser.send('POST', '/refresh')
  t.match(refused.json(), { grund: 'FST_JWT_SESSION_REFRESH_TOKEN_INVALID' }, 'the application answers in its own words')
  t.equal(refused.headers['www-authenticate'], 'Bearer error="invalid_token"')
  t.equal(browser.cookieFor('/refresh'), '', 'and the cookies are cleared all the same')
  for (const header of browser.setBy(refused)) t.match(header, '; Domain=example.com; ')
  t.match(events.at(-1), { name: 'refresh.refused', reason: 'user_gone' })
})

t.test('a refresh token that is dead is cleared for the application, and for nobody else', async (t) => {
  const { browser, app } = await build(t)
  const token = valueIn(await browserOf(app).login(), REFRESH)
  const { iat } = parse(token).claims as { iat: number }
  for (const dead of [reforge(token, {}, {}, 'x'), reforge(token, { exp: iat - 1 }), 'x']) {
    const headers = { cookie: `${REFRESH}=${dead}` }
    const other = await browserOf(app, { 'sec-fetch-site': 'cross-site' }).send('POST', '/refresh', { headers })
    t.match(other, { code: 'CSRF_FAILED', headers: { 'set-cookie': undefined } })
    const own = await browser.send('POST', '/refresh', { headers })
    t.equal(own.code, 'REFRESH_TOKEN_INVALID')
    t.equal(browser.setBy(own).length, 3)
  }
  t.same(browser.setBy(await browser.send('POST', '/refresh')), [], 'without a cookie nothing is cleared')
})

t.test('tabs that refresh at once, or with the token of a moment ago, keep the session', async (t) => {
  const clock = stopClock(t)
  const { browser, events } = await build(t)
  await browser.login()
  clock.advance(60)
  const cookie = browser.cookieFor('/refresh')
  const answers = await Promise.all(Array.from({ length: 5 }, async () => await browser.send('POST', '/refresh', { headers: { cookie } })))
  t.same(answers.map(({ statusCode }) => statusCode), [200, 200, 200, 200, 200])
  t.equal(new Set(answers.map((answer) => valueIn(answer, REFRESH))).size, 1, 'all get the same one')
  clock.advance(9)
  t.equal((await browser.send('POST', '/refresh', { headers: { cookie } })).statusCode, 200)
  t.equal((await browser.send('GET', '/me')).statusCode, 200, 'the new tokens have arrived')
  clock.advance(2)
  t.equal((await browser.send('POST', '/refresh', { headers: { cookie } })).code, 'REFRESH_TOKEN_INVALID', 'later it is a copy')
  t.ok(events.some(({ name }) => name === 'session.reused'))
})

t.test('logout everywhere takes the cookies for it, and CSRF protection for granted', async (t) => {
  const { browser, app } = await build(t)
  const other = browserOf(app)
  await other.login()
  await browser.login()
  t.equal((await browser.send('POST', '/logout', { body: { everywhere: true }, headers: { 'sec-fetch-site': 'same-site' } })).code, 'CSRF_FAILED')
  t.equal((await other.send('GET', '/me')).statusCode, 200)
  t.equal((await browser.send('POST', '/logout', { body: { everywhere: true } })).statusCode, 204)
  t.equal((await other.send('GET', '/me')).code, 'SESSION_REVOKED')
  t.equal((await other.send('POST', '/logout', { headers: { cookie: other.cookieFor('/refresh').split('; ')[0] as string }, body: { everywhere: true } })).code, 'TOKEN_MISSING', 'a refresh token is not enough for it')
})

t.test('logout believes what the client shows, and never falls through to the cookies', async (t) => {
  const { browser, app, client } = await build(t, { locations: ['header', 'cookie'], deliver: ({ headers }) => headers['sec-fetch-site'] === undefined ? 'body' : 'cookie' })
  const shown = await client.login()
  await browser.login()
  const cookie = browser.cookieFor('/refresh')
  const refreshCookie = cookie.split('; ').find((pair) => pair.startsWith(REFRESH)) as string
  const accessCookie = cookie.split('; ').find((pair) => pair.startsWith(ACCESS)) as string
  const silent = browserOf(app, {})
  const cases: [string, { body?: unknown, headers: Record<string, string> }, string][] = [
    ['a bad header and a good refresh cookie', { headers: { authorization: 'Bearer x', cookie: refreshCookie } }, 'TOKEN_INVALID'],
    ['a bad header and a good access cookie', { headers: { authorization: 'Bearer x', cookie: accessCookie } }, 'REQUEST_INVALID'],
    ['a bad body and a good access cookie', { body: { refresh_token: 'x' }, headers: { cookie: accessCookie } }, 'TOKEN_INVALID'],
    ['a bad body and a good refresh cookie', { body: { refresh_token: 'x' }, headers: { cookie: refreshCookie } }, 'REQUEST_INVALID'],
    ['a header and cookies of two sessions', { headers: { authorization: `Bearer ${shown.access_token}`, cookie: refreshCookie } }, 'REQUEST_INVALID'],
    ['cookies alone', { headers: { cookie } }, 'CSRF_FAILED']
  ]
  for (const [name, request, code] of cases) t.equal((await silent.send('POST', '/logout', request)).code, code, name)
  t.equal((await browser.send('GET', '/me')).statusCode, 200)
  t.equal((await client.get('/me', shown.access_token)).statusCode, 200)

  t.equal((await silent.send('POST', '/logout', { headers: { authorization: `Bearer ${shown.access_token}` } })).statusCode, 204, 'a header needs nothing more')
  const access = accessCookie.slice(ACCESS.length + 1)
  t.equal((await silent.send('POST', '/logout', { headers: { authorization: `Bearer ${access}`, cookie } })).statusCode, 204, 'the same token in both')
})

t.test('registration and the list of sessions go by the same rules', async (t) => {
  const users = makeUsers()
  const { app } = await buildApp(t, {
    locations: ['cookie'],
    userLookup: {
      ...lookupIn(users),
      create: ({ username, passwordHash }: jwtSession.NewUser) => {
        const user = { id: `user-${String(username)}`, passwordHash, roles: [] }
        users.set(String(username), user)
        return user
      }
    } as never,
    routes: { register: '/register', sessions: '/sessions' }
  })
  const browser = browserOf(app)
  const body = { username: 'carol', password: 'of the bells' }
  t.equal((await browser.send('POST', '/register', { body, headers: { 'sec-fetch-site': 'cross-site' } })).code, 'CSRF_FAILED')
  t.equal(users.has('carol'), false)
  const registered = await browser.send('POST', '/register', { body })
  t.match(registered, { statusCode: 201, body: /csrf_token/ })
  t.equal(registered.json().access_token, undefined)

  const other = browserOf(app)
  await other.login('carol', 'of the bells')
  const [first, second] = (await browser.send('GET', '/sessions')).json() as [{ id: string }, { id: string }]
  t.equal((await browser.send('DELETE', `/sessions/${second.id}`, { headers: { 'sec-fetch-site': 'cross-site' } })).code, 'CSRF_FAILED')
  t.match(await browser.send('DELETE', `/sessions/${second.id}`), { statusCode: 204, headers: { 'set-cookie': undefined } })
  t.equal((await other.send('GET', '/me')).code, 'SESSION_REVOKED')
  t.equal((await browser.send('DELETE', `/sessions/${first.id}`)).statusCode, 204)
  t.equal(browser.cookieFor('/refresh'), '', 'who ends this session is logged out')
})

t.test('with protectAll, what is not guarded by hand is guarded against other sites too', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(jwtSession, { ...options(), locations: ['cookie'], protectAll: true })
  app.post('/change', (request) => request.auth.subject)
  app.post('/hook', { config: { authenticate: false } }, () => 'open')
  const browser = browserOf(app)
  t.equal((await browser.send('POST', '/change')).code, 'TOKEN_MISSING')
  await browser.login()
  t.equal((await browser.send('POST', '/change')).body, 'user-alice')
  t.equal((await browser.send('POST', '/change', { headers: { 'sec-fetch-site': 'cross-site' } })).code, 'CSRF_FAILED')
  t.equal((await browser.send('POST', '/hook', { headers: { 'sec-fetch-site': 'cross-site' } })).body, 'open')
  t.equal((await browser.send('POST', '/refresh')).statusCode, 200)
  t.equal((await browser.send('POST', '/logout')).statusCode, 204)
})

t.test('an application that only verifies reads the cookies of the one that issues, by the same rules', async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const store = memoryStore()
  const cookie = { domain: 'example.com' }
  const { browser } = await build(t, { secret: undefined, keys: [{ kid: 'a', algorithm: 'ES256', privateKey, publicKey }], revocationStore: store, cookie } as never)
  const resource = Fastify()
  t.teardown(() => resource.close())
  await resource.register(jwtSession, { keys: [{ kid: 'a', algorithm: 'ES256', publicKey }], revocationStore: store, locations: ['cookie'], cookie })
  resource.post('/orders', { onRequest: [resource.authenticate] }, (request) => request.auth.subject)
  await browser.login()
  const ask = async (headers: Record<string, string>) => await browserOf(resource, { cookie: browser.cookieFor('/orders'), host: 'orders.example.com', ...headers }).send('POST', '/orders')
  t.equal((await ask({ 'sec-fetch-site': 'same-origin' })).body, 'user-alice')
  t.equal((await ask({ 'sec-fetch-site': 'same-site' })).code, 'CSRF_FAILED')
  await browser.send('POST', '/logout')
  t.equal((await ask({ 'sec-fetch-site': 'same-origin' })).code, 'TOKEN_MISSING')
})

t.test('the csrf_token counts for clients that are no browsers', async (t) => {
  const { browser, app } = await build(t)
  const { csrf_token: csrf } = (await browser.login()).json()
  const cookie = browser.cookieFor('/refresh')
  const silent = browserOf(app, {})
  t.equal((await silent.send('POST', '/me', { headers: { cookie } })).code, 'CSRF_FAILED')
  t.equal((await silent.send('POST', '/me', { headers: { cookie, 'x-csrf-token': csrf } })).statusCode, 200)
  t.equal((await silent.send('POST', '/me', { headers: { cookie, 'x-csrf-token': `${csrf} ` } })).code, 'CSRF_FAILED')
  t.equal((await browser.send('POST', '/me', { headers: { 'x-csrf-token': 'x' } })).code, 'CSRF_FAILED', 'and a wrong one never passes')
  t.equal((await silent.send('POST', '/me', { body: {}, headers: { cookie } })).code, 'CSRF_FAILED', 'JSON is no proof where any body will do')
  t.equal((await silent.send('POST', '/refresh', { headers: { cookie, 'x-csrf-token': csrf } })).statusCode, 200)
  t.equal((await silent.send('POST', '/refresh', { headers: { cookie: silent.cookieFor('/refresh') } })).code, 'CSRF_FAILED')
  t.equal((await silent.send('POST', '/refresh', { body: {} })).statusCode, 200, 'the routes of the plugin read JSON only')
  t.equal((await silent.send('POST', '/logout', { body: {} })).statusCode, 204)

  const renamed = await build(t, { csrf: { header: 'X-Guard' } })
  const token = (await renamed.browser.login()).json().csrf_token
  const guarded = { cookie: renamed.browser.cookieFor('/me'), 'x-guard': token }
  t.equal((await browserOf(renamed.app, {}).send('POST', '/me', { headers: guarded })).statusCode, 200)
})

t.test('pages of trusted origins may use the cookies', async (t) => {
  const { browser, app } = await build(t, { csrf: { trustedOrigins: ['https://app.example.com'] } })
  const headers = (origin: string) => ({ origin, 'sec-fetch-site': 'same-site' })
  t.equal((await browserOf(app, headers('https://app.example.com')).login()).statusCode, 200)
  t.equal((await browserOf(app, headers('https://evil.example.com')).login()).code, 'CSRF_FAILED')
  await browser.login()
  t.equal((await browser.send('POST', '/me', { headers: headers('https://app.example.com') })).statusCode, 200)
  t.equal((await browser.send('POST', '/me', { headers: headers('https://evil.example.com') })).code, 'CSRF_FAILED')
})

t.test('behind a proxy that is trusted, the forwarded host counts', async (t) => {
  const { app } = await buildApp(t, { locations: ['cookie'] }, { trustProxy: true })
  const forwarded = { 'x-forwarded-host': 'shop.example.com', 'x-forwarded-proto': 'https' }
  t.equal((await browserOf(app, { ...forwarded, origin: 'https://shop.example.com' }).login()).statusCode, 200)
  for (const origin of ['http://shop.example.com', 'https://localhost:80', 'http://localhost:80']) {
    t.equal((await browserOf(app, { ...forwarded, origin }).login()).code, 'CSRF_FAILED', origin)
  }
  const deaf = await buildApp(t, { locations: ['cookie'] })
  t.equal((await browserOf(deaf.app, { ...forwarded, origin: 'https://shop.example.com' }).login()).code, 'CSRF_FAILED')
})

t.test('a WebSocket is opened by pages of the application only', async (t) => {
  const { browser } = await build(t)
  await browser.login()
  const shake = async (headers: Record<string, string>) => await browser.send('GET', '/me', { headers: { connection: 'upgrade', upgrade: 'WebSocket', ...headers } })
  t.equal((await shake({ origin: 'http://localhost' })).statusCode, 200)
  t.equal((await shake({ 'sec-fetch-site': 'same-origin' })).statusCode, 200)
  t.equal((await shake({ origin: 'https://evil.example' })).code, 'CSRF_FAILED')
  t.equal((await shake({})).code, 'CSRF_FAILED')
  t.equal((await browser.send('GET', '/me', { headers: { upgrade: 'h2c' } })).statusCode, 200, 'what other clients offer is no WebSocket')
})

t.test('claims that make a cookie too long are refused before a session is opened or rotated', async (t) => {
  let size = 10
  const { app, browser, client, users, events } = await build(t, { claims: () => ({ text: 'x'.repeat(size) }), locations: ['header', 'cookie'], deliver: ({ headers }) => headers['sec-fetch-site'] === undefined ? 'body' : 'cookie' })
  app.get('/callback', async (request, reply) => app.jwtSession.deliver(reply, await app.jwtSession.login(users.get('alice') as never, request)))
  await browser.login()
  const cookie = browser.cookieFor('/refresh')
  size = 4000
  t.equal((await browser.login()).code, 'OPTION_INVALID')
  t.equal((await browser.send('GET', '/callback', { headers: { 'sec-fetch-site': 'none' } })).code, 'OPTION_INVALID')
  t.equal((await browser.send('POST', '/refresh')).code, 'OPTION_INVALID')
  t.equal(browser.cookieFor('/refresh'), cookie)
  t.equal((await client.login()).token_type, 'Bearer', 'in a body they have room')
  t.equal(events.filter(({ name }) => name === 'login.succeeded').length, 2)
  size = 10
  t.equal((await browser.send('POST', '/refresh')).statusCode, 200, 'and the refresh token is not used up')
})

t.test('tokens in cookies are the tokens of the header, expiry and all', async (t) => {
  const { browser } = await build(t, { cookie: { persistent: false } })
  const login = await browser.login()
  const token = valueIn(login, ACCESS)
  const ask = async (text: string, url = '/me') => (await browser.send('GET', url, { headers: { cookie: `${ACCESS}=${text}` } })).code
  t.equal(await ask(token), undefined)
  t.equal(await ask(reforge(token, {}, {}, 'x')), 'TOKEN_INVALID')
  t.equal(await ask(reforge(token, { csrf: 1 })), 'TOKEN_INVALID')
  t.equal(await ask(valueIn(login, REFRESH)), 'TOKEN_INVALID')
  t.equal(await ask('x', '/maybe'), 'TOKEN_INVALID', 'optional tolerates absence only')
  t.equal(await ask('', '/maybe'), undefined)
  const { iat } = parse(token).claims as { iat: number }
  t.equal(await ask(reforge(token, { iat: iat - 1000, exp: iat - 100 })), 'TOKEN_EXPIRED')
  t.equal((await browser.send('POST', '/me', { headers: { cookie: `${ACCESS}=${token}`, 'sec-fetch-site': 'cross-site' } })).code, 'CSRF_FAILED')
})

t.test('HTTP/2: cookies, hosts and origins are the same there', async (t) => {
  const app = Fastify({ http2: true })
  t.teardown(async () => await app.close())
  await app.register(jwtSession, { ...options(), locations: ['cookie'] } as never)
  app.post('/me', { onRequest: [app.authenticate] }, (request) => request.auth.subject)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as { port: number }
  const session = http2.connect(`http://127.0.0.1:${port}`)
  t.teardown(() => { session.destroy() })

  const send = async (path: string, headers: http2.OutgoingHttpHeaders, body?: object) => await new Promise<{ headers: http2.IncomingHttpHeaders, text: string }>((resolve, reject) => {
    const stream = session.request({ ':method': 'POST', ':path': path, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers })
    let answer: http2.IncomingHttpHeaders = {}
    let text = ''
    stream.on('response', (given) => { answer = given })
    stream.setEncoding('utf8').on('data', (chunk: string) => { text += chunk })
    stream.on('end', () => resolve({ headers: answer, text })).on('error', reject)
    stream.end(body === undefined ? undefined : JSON.stringify(body))
  })
  const origin = `http://127.0.0.1:${port}`
  const credentials = { username: 'alice', password: 'wonderland' }
  t.equal((await send('/login', { origin: 'http://127.0.0.1:1' }, credentials)).headers[':status'], 403)
  const login = await send('/login', { origin }, credentials)
  t.equal(login.headers[':status'], 200)
  const pairs = [login.headers['set-cookie'] ?? []].flat().map((header) => header.split(';')[0] as string)
  t.equal(pairs.length, 3)
  t.equal((await send('/me', { origin, cookie: pairs.slice(0, 2) as never })).text, 'user-alice', 'cookies in crumbs')
  t.equal((await send('/me', { origin: 'null', cookie: pairs[0] as string })).headers[':status'], 403)
  t.equal((await send('/refresh', { origin, cookie: pairs[1] as string })).headers[':status'], 200)
})

t.test('cookies without TLS are warned of in the log', async (t) => {
  const lines: string[] = []
  const logger = { level: 'warn', stream: { write: (line: string) => { lines.push(line) } } }
  await buildApp(t, { locations: ['cookie'], cookie: { secure: false } }, { logger })
  t.match(lines.join(), 'cookie.secure is false')
  lines.length = 0
  await buildApp(t, { locations: ['cookie'] }, { logger })
  t.same(lines, [])
})

t.test('no token reaches the log', async (t) => {
  const lines: string[] = []
  const { app } = await buildApp(t, { locations: ['cookie'] }, { logger: { level: 'trace', stream: { write: (line: string) => { lines.push(line) } } } })
  const browser = browserOf(app)
  const { csrf_token: csrf } = (await browser.login()).json()
  const cookie = browser.cookieFor('/refresh')
  await browser.send('POST', '/me', { headers: { 'x-csrf-token': `wrong-${csrf as string}` } })
  await browser.send('GET', '/me', { headers: { cookie: `${cookie}; ${cookie.replaceAll('=', '=x')}` } })
  await browser.send('POST', '/refresh')
  await browser.send('POST', '/refresh', { headers: { cookie: `${cookie}x` } })
  await browser.send('POST', '/logout')
  t.ok(lines.length > 10)
  for (const secret of [csrf as string, ...cookie.split(/=|; /).filter((part) => part.length > 40).flatMap((token) => token.split('.').slice(1))]) {
    t.notMatch(lines.join('\n'), secret)
  }
})

t.test('where there are no cookies, clearing them does nothing', async (t) => {
  const { app, users } = await buildApp(t)
  app.post('/out', async (_request, reply) => { app.jwtSession.clearCookies(reply); return 'out' })
  app.post('/in', async (request, reply) => app.jwtSession.deliver(reply, await app.jwtSession.login(users.get('bob') as never, request)))
  const answer = await clientOf(app).post('/out')
  t.match(answer, { statusCode: 200, body: 'out', headers: { 'set-cookie': undefined } })
  t.match((await clientOf(app).post('/in')).json(), { access_token: /./ })
})

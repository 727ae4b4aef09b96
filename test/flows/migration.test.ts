import { generateKeyPairSync } from 'node:crypto'
import Fastify, { type FastifyReply } from 'fastify'
import t, { type Test } from 'tap'
import jwtSession, { memoryStore } from '../../lib'
import { buildApp, SECRET, type TestApp } from '../support/app'
import { browserOf, type Browser } from '../support/browser'
import { stopClock } from '../support/clock'
import { parse, reforge } from '../support/forge'
import { namesInChapter, proveRows, type Row } from '../support/migration-table'

type Options = NonNullable<Parameters<typeof buildApp>[1]>

const CODE = 'FST_JWT_SESSION_'
const pair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })
const key = (kid: string) => ({ kid, algorithm: 'ES256' as const, privateKey: pair().privateKey })
const accessOf = async ({ client }: TestApp) => (await client.login()).access_token

async function build (t: Test, options: Options = {}): Promise<TestApp & { browser: Browser }> {
  const built = await buildApp(t, { locations: ['header', 'cookie'], deliver: ({ headers }) => headers['sec-fetch-site'] === undefined ? 'body' : 'cookie', ...options })
  return { ...built, browser: browserOf(built.app) }
}

/** That a registration with these options is refused, because of the last of them. */
async function refused (t: Test, options: object): Promise<void> {
  const message = new RegExp(`\\b${Object.keys(options).at(-1)}\\b`)
  await t.rejects(buildApp(t, options as Options), { code: `${CODE}OPTION_INVALID`, message }, JSON.stringify(options))
}

/** That an option of this name would have no effect anywhere, for there is none. */
const absent = (...options: object[]) => async (t: Test) => { for (const option of options) await refused(t, { locations: ['cookie'], ...option }) }

/** What a login sets, one header for each cookie. */
const cookiesOf = async ({ browser }: { browser: Browser }) => browser.setBy(await browser.login())

const options: readonly Row[] = [
  [['JWT_SECRET_KEY'], async (t) => {
    await refused(t, { secret: undefined })
    await refused(t, { secret: 'short' })
    t.equal((await (await build(t)).client.get('/me', await accessOf(await build(t)))).code, 'SESSION_REVOKED', 'signed rightly, opened elsewhere')
    t.equal((await (await build(t)).client.get('/me', await accessOf(await build(t, { secret: SECRET + SECRET })))).code, 'TOKEN_INVALID')
  }],
  [['JWT_PRIVATE_KEY', 'JWT_PUBLIC_KEY', 'JWT_ALGORITHM'], async (t) => {
    const { privateKey, publicKey } = pair()
    const built = await build(t, { secret: undefined, keys: [{ kid: 'a', algorithm: 'ES256', privateKey, publicKey }] })
    const token = await accessOf(built)
    t.match(parse(token).header, { alg: 'ES256', kid: 'a' })
    t.equal((await built.client.get('/me', token)).statusCode, 200)
    t.equal(parse(await accessOf(await build(t))).header.alg, 'HS256')
    await refused(t, { secret: undefined, keys: [{ kid: 'a', algorithm: 'none', secret: SECRET }] })
  }],
  [['JWT_DECODE_ALGORITHMS'], async (t) => {
    const built = await build(t, { keys: [key('new')] })
    t.equal((await built.client.get('/me', await accessOf(built))).statusCode, 200)
    const old = reforge(await accessOf(built), {}, { alg: 'HS256', kid: undefined })
    t.equal((await built.client.get('/me', old)).statusCode, 200, 'one algorithm for each key')
    t.equal((await built.client.get('/me', reforge(old, {}, { alg: 'HS512' }, SECRET, 'sha512'))).code, 'TOKEN_INVALID', 'and no other')
  }],
  [['JWT_ACCESS_TOKEN_EXPIRES', 'JWT_REFRESH_TOKEN_EXPIRES'], async (t) => {
    const clock = stopClock(t)
    for (const value of [0, false, '2d']) await refused(t, { accessToken: { expiresIn: value } })
    for (const value of [0, false]) await refused(t, { session: { idleTimeout: value } })
    const { client } = await build(t, { accessToken: { expiresIn: '1h' }, session: { idleTimeout: '2h' } })
    const { access_token: token, refresh_token: refreshToken } = await client.login()
    t.equal((await client.get('/me', reforge(token, { exp: undefined }))).code, 'TOKEN_INVALID', 'no token lives for ever')
    clock.advance(3599)
    t.equal((await client.get('/me', token)).statusCode, 200)
    clock.advance(1)
    t.equal((await client.get('/me', token)).code, 'TOKEN_EXPIRED')
    clock.advance(3600)
    t.equal((await client.refresh(refreshToken)).code, 'REFRESH_TOKEN_INVALID')
  }],
  [['JWT_TOKEN_LOCATION', 'jwt_required(locations=…)', 'get_jwt_request_location'], async (t) => {
    for (const locations of [[], ['nowhere'], 'header']) await refused(t, { locations })
    const built = await build(t)
    const { browser, client, app } = built
    const who = { onRequest: [app.authenticate({ locations: ['query'] })] }
    app.get('/link', who, ({ auth }) => auth)
    const token = await accessOf(built)
    t.equal((await client.get('/me', token)).json().source, 'header')
    t.equal((await client.get(`/link?access_token=${token}`)).json().source, 'query')
    t.equal((await client.get(`/me?access_token=${token}`)).code, 'TOKEN_MISSING')
    await browser.login()
    t.equal((await browser.send('GET', '/me')).json().source, 'cookie')
    t.equal((await browser.send('GET', '/me', { headers: { authorization: `Bearer ${token}` } })).code, 'REQUEST_INVALID')
  }],
  [['JWT_IDENTITY_CLAIM', 'JWT_VERIFY_SUB', 'user_identity_loader'], async (t) => {
    const { app, client } = await build(t)
    const token = (await client.login()).access_token
    t.equal(parse(token).claims.sub, 'user-alice')
    for (const sub of [1, null, '', undefined]) t.equal((await client.get('/me', reforge(token, { sub }))).code, 'TOKEN_INVALID', String(sub))
    await t.rejects(app.jwtSession.login({ id: 1 as unknown as string, passwordHash: '' }), { code: `${CODE}OPTION_INVALID` })
  }],
  [['JWT_ENCODE_AUDIENCE', 'JWT_DECODE_AUDIENCE', 'JWT_ENCODE_ISSUER', 'JWT_DECODE_ISSUER'], async (t) => {
    const { app, client } = await build(t, { audience: ['shop', 'blog'], issuer: 'login' })
    app.get('/shop', { onRequest: [app.authenticate({ audience: 'shop' })] }, () => 'shop')
    const token = (await client.login()).access_token
    t.match(parse(token).claims, { aud: ['shop', 'blog'], iss: 'login' })
    t.equal((await client.get('/shop', token)).statusCode, 200)
    t.equal((await client.get('/shop', reforge(token, { aud: 'blog' }))).code, 'TOKEN_INVALID')
    t.equal((await client.get('/me', reforge(token, { aud: 'blog' }))).statusCode, 200, 'one match suffices')
    for (const claims of [{ aud: 'other' }, { aud: undefined }, { iss: 'other' }, { iss: undefined }]) {
      t.equal((await client.get('/me', reforge(token, claims))).code, 'TOKEN_INVALID', JSON.stringify(claims))
    }
  }],
  [['JWT_ENCODE_NBF', 'JWT_DECODE_LEEWAY'], async (t) => {
    const clock = stopClock(t)
    t.equal(parse(await accessOf(await build(t))).claims.nbf, undefined)
    const { client } = await build(t, { accessToken: { nbf: true }, clockTolerance: 10 })
    const token = (await client.login()).access_token
    const { nbf, iat } = parse(token).claims
    t.equal(nbf, iat)
    clock.advance(909)
    t.equal((await client.get('/me', token)).statusCode, 200)
    clock.advance(1)
    t.equal((await client.get('/me', token)).code, 'TOKEN_EXPIRED')
  }],
  [['JWT_HEADER_NAME', 'JWT_HEADER_TYPE'], async (t) => {
    const { app, client } = await buildApp(t, { authorization: { header: 'x-token', schemes: ['JWT', ''] } })
    const token = (await client.login()).access_token
    for (const value of [`JWT ${token}`, `jwt ${token}`, token]) t.equal((await app.inject({ url: '/me', headers: { 'x-token': value } })).statusCode, 200)
    t.equal((await client.get('/me', token)).code, 'TOKEN_MISSING')
  }],
  [['JWT_ACCESS_COOKIE_NAME', 'JWT_REFRESH_COOKIE_NAME', 'JWT_ACCESS_COOKIE_PATH', 'JWT_REFRESH_COOKIE_PATH', 'JWT_COOKIE_DOMAIN', 'JWT_COOKIE_SECURE', 'JWT_COOKIE_SAMESITE', 'JWT_SESSION_COOKIE'], async (t) => {
    const given = await cookiesOf(await build(t, {
      cookie: { accessName: 'a', refreshName: 'r', refreshPaths: ['/auth'], domain: 'example.com', secure: false, sameSite: 'strict', persistent: false }
    }))
    t.same(given.map((header) => header.replace(/=[^;]+/, '').split('; ').sort().join(' ')), ['Domain=example.com HttpOnly Path=/ SameSite=Strict a', 'Domain=example.com HttpOnly Path=/auth SameSite=Strict r'])
    const [access, refresh] = await cookiesOf(await build(t))
    t.match(access, /^__Host-access_token=.*Max-Age=900; Path=\/;/)
    for (const header of [access, refresh]) t.match(header, /(?=.*; HttpOnly)(?=.*; Secure)(?=.*; SameSite=Lax)/)
    t.match(refresh, /^__Secure-refresh_token=.*Path=\/(?:refresh|logout);/)
    await refused(t, { locations: ['cookie'], cookie: { accessPath: '/app' } })
  }],
  [['JWT_COOKIE_CSRF_PROTECT', 'JWT_CSRF_METHODS', 'JWT_ACCESS_CSRF_HEADER_NAME', 'JWT_REFRESH_CSRF_HEADER_NAME', 'JWT_CSRF_IN_COOKIES', 'get_csrf_token'], async (t) => {
    for (const csrf of [false, { methods: ['POST'] }]) await refused(t, { locations: ['cookie'], csrf })
    const { app, client, browser } = await build(t, { csrf: { header: 'x-guard' } })
    for (const method of ['PUT', 'PATCH', 'DELETE'] as const) app.route({ method, url: '/me', onRequest: [app.authenticate], handler: () => 'changed' })
    const login = await browser.login()
    const csrf = login.json().csrf_token
    t.match(csrf, /^[\w-]{22}$/)
    t.notMatch(browser.setBy(login).join(), csrf, 'no cookie holds it')
    t.equal((await browser.send('GET', '/me')).json().claims.csrf, csrf)
    const cookie = browser.cookieFor('/me')
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'] as const) {
      t.equal((await browser.send(method, '/me', { headers: { 'sec-fetch-site': 'cross-site' } })).code, 'CSRF_FAILED', method)
      t.equal((await app.inject({ method, url: '/me', headers: { cookie } })).statusCode, 403, method)
      t.equal((await app.inject({ method, url: '/me', headers: { cookie, 'x-guard': csrf } })).statusCode, 200, method)
    }
    t.equal((await browser.send('POST', '/refresh', { headers: { 'x-guard': 'wrong' } })).code, 'CSRF_FAILED')
    t.equal((await browser.send('POST', '/refresh', { headers: { 'x-guard': csrf } })).json().csrf_token, csrf, 'one for both')
    t.equal((await client.post('/me', {}, (await client.login()).access_token)).statusCode, 200, 'nothing where there are no cookies')
  }],
  [['JWT_CSRF_CHECK_FORM', 'JWT_ACCESS_CSRF_FIELD_NAME', 'JWT_REFRESH_CSRF_FIELD_NAME'], async (t) => {
    await absent({ csrf: { field: 'csrf_token' } }, { csrf: { formField: 'csrf_token' } })(t)
    const { browser } = await build(t)
    const csrf = (await browser.login()).json().csrf_token
    t.equal((await browser.send('POST', '/me', { body: { csrf_token: csrf }, headers: { 'sec-fetch-site': 'cross-site' } })).code, 'CSRF_FAILED')
    t.equal((await browser.send('POST', '/me', { body: { csrf_token: 'wrong' } })).statusCode, 200, 'a page of the application')
  }],
  [['JWT_ACCESS_CSRF_COOKIE_NAME', 'JWT_REFRESH_CSRF_COOKIE_NAME', 'JWT_ACCESS_CSRF_COOKIE_PATH', 'JWT_REFRESH_CSRF_COOKIE_PATH'], async (t) => {
    await absent({ csrf: { cookieName: 'csrf' } }, { csrf: { cookiePath: '/' } })(t)
    const names = (await cookiesOf(await build(t))).map((header) => header.split('=', 1)[0] as string)
    t.same(Array.from(new Set(names)), ['__Host-access_token', '__Secure-refresh_token'])
  }],
  [['JWT_QUERY_STRING_NAME', 'JWT_QUERY_STRING_VALUE_PREFIX', 'JWT_JSON_KEY', 'JWT_REFRESH_JSON_KEY'], async (t) => {
    await absent({ query: { name: 'jwt' } }, { body: { accessKey: 'token' } })(t)
    const { app, client } = await build(t)
    app.get('/link', { onRequest: [app.authenticate({ locations: ['query'] })] }, () => 'in')
    app.post('/form', { preValidation: [app.authenticate({ locations: ['body'] })] }, () => 'in')
    const { access_token: token, refresh_token: refreshToken } = await client.login()
    t.equal((await client.get(`/link?access_token=${token}`)).body, 'in')
    t.equal((await client.get(`/link?jwt=${token}`)).code, 'TOKEN_MISSING')
    t.equal((await client.get(`/link?access_token=Bearer%20${token}`)).code, 'TOKEN_INVALID')
    t.equal((await client.post('/form', { access_token: token })).body, 'in')
    t.equal((await client.post('/form', { token })).code, 'TOKEN_MISSING')
    t.equal((await client.post('/refresh', { refresh_token: refreshToken })).statusCode, 200)
    t.equal((await client.post('/refresh', { token: refreshToken })).code, 'REFRESH_TOKEN_INVALID')
  }]
]

const functions: readonly Row[] = [
  [['JWTManager', 'init_app', 'jwt_required'], async (t) => {
    const { app, client } = await build(t)
    app.options('/me', { onRequest: [app.authenticate] }, () => '')
    t.match(await client.get('/me'), { statusCode: 401, code: 'TOKEN_MISSING' })
    t.equal((await app.inject({ method: 'OPTIONS', url: '/me' })).statusCode, 401)
    t.equal((await client.get('/open')).statusCode, 200)
    await refused(t, { nothing: true })
    const all = await build(t, { protectAll: true })
    t.equal((await all.client.get('/open')).code, 'TOKEN_MISSING')
  }],
  [['jwt_required(optional=True)'], async (t) => {
    const { client } = await build(t)
    t.equal((await client.get('/maybe')).body, 'null')
    t.equal((await client.get('/maybe', 'x.y.z')).code, 'TOKEN_INVALID')
  }],
  [['jwt_required(fresh=True)', 'create_access_token(fresh=…)'], async (t) => {
    const clock = stopClock(t)
    const { client } = await build(t)
    const { access_token: token, refresh_token: refreshToken } = await client.login()
    t.equal((await client.get('/fresh', token)).statusCode, 200)
    const renewed = (await client.refresh(refreshToken)).json().access_token
    t.equal((await client.get('/fresh', renewed)).code, 'REAUTHENTICATION_REQUIRED')
    t.equal((await client.get('/recent', renewed)).statusCode, 200)
    clock.advance(601)
    t.equal((await client.get('/recent', token)).code, 'REAUTHENTICATION_REQUIRED')
    await refused(t, { fresh: true })
  }],
  [['jwt_required(refresh=True)', 'jwt_required(verify_type=False)', 'jwt_required(skip_revocation_check=True)'], async (t) => {
    const { app, client } = await build(t)
    for (const options of [{ refresh: true }, { type: 'any' }, { skipRevocationCheck: true }]) {
      t.throws(() => app.authenticate(options as object), { code: `${CODE}OPTION_INVALID` }, JSON.stringify(options))
    }
    const { access_token: token, refresh_token: refreshToken } = await client.login()
    t.equal((await client.get('/me', refreshToken)).code, 'TOKEN_INVALID')
    t.equal((await client.refresh(token)).code, 'REFRESH_TOKEN_INVALID')
    t.equal((await client.post('/logout', { refresh_token: refreshToken })).statusCode, 204)
    t.equal((await client.get('/me', token)).code, 'SESSION_REVOKED', 'both have ended')
    t.equal((await client.post('/logout', undefined, token)).statusCode, 204)
    const trusting = Fastify()
    t.teardown(() => trusting.close())
    await trusting.register(jwtSession, { keys: [{ kid: 'a', algorithm: 'HS256', secret: SECRET, use: 'verify' }], revocationStore: false })
    trusting.get('/me', { onRequest: [trusting.authenticate] }, ({ auth }) => auth.subject)
    const headers = { authorization: `Bearer ${reforge(token, {}, { kid: 'a' })}` }
    t.equal((await trusting.inject({ url: '/me', headers })).body, 'user-alice')
  }],
  [['verify_jwt_in_request', 'get_jwt', 'get_jwt_header', 'get_jwt_identity'], async (t) => {
    let reads = 0
    const store = memoryStore()
    const { app, client } = await build(t, { revocationStore: { read: (refs) => { reads++; return store.read(refs) }, write: store.write, list: store.list } })
    app.get('/by-hand', async (request, reply) => {
      await app.authenticate(request, reply)
      await app.authenticate(request, reply)
      return request.auth
    })
    const token = (await client.login()).access_token
    await client.get('/me', token)
    reads = 0
    await client.get('/me', token)
    const once = reads
    reads = 0
    t.match((await client.get('/by-hand', token)).json(), { subject: 'user-alice', header: { alg: 'HS256' }, claims: { sub: 'user-alice', roles: ['admin', 'editor'] } })
    t.ok(once > 0)
    t.equal(reads, once, 'the second call asks nobody')
    t.equal((await client.get('/by-hand')).code, 'TOKEN_MISSING')
  }],
  [['get_current_user', 'current_user', 'add_context_processor', 'user_lookup_loader'], async (t) => {
    const { app, client, users } = await build(t)
    app.get('/user', { onRequest: [app.authenticate({ loadUser: true })] }, ({ auth }) => (auth.user as { roles?: string[] }).roles)
    app.get('/lazy', { onRequest: [app.authenticate({ loadUser: 'lazy' })] }, async ({ auth }) => (await auth.loadUser?.() as { roles?: string[] }).roles)
    const token = (await client.login()).access_token
    for (const url of ['/user', '/lazy']) t.same((await client.get(url, token)).json(), ['admin', 'editor'])
    users.delete('alice')
    for (const url of ['/user', '/lazy']) t.equal((await client.get(url, token)).code, 'SESSION_REVOKED')
  }],
  [['create_access_token', 'create_refresh_token', 'create_access_token(expires_delta=…)'], async (t) => {
    const clock = stopClock(t)
    const { app, client, users } = await build(t)
    const tokens = await app.jwtSession.login(users.get('alice') as never)
    t.equal((await client.get('/fresh', tokens.access_token)).statusCode, 200)
    t.equal((await client.refresh(tokens.refresh_token)).statusCode, 200)
    for (const expiresIn of [0, -1]) await t.rejects(app.jwtSession.issueOneTimeToken({ purpose: 'p', subject: 's', expiresIn }), { code: `${CODE}OPTION_INVALID` })
    const link = await app.jwtSession.issueOneTimeToken({ purpose: 'p', subject: 's', expiresIn: '5m' })
    clock.advance(300)
    await t.rejects(app.jwtSession.consumeOneTimeToken(link, { purpose: 'p' }), { code: `${CODE}TOKEN_EXPIRED` })
  }],
  [['create_access_token(additional_claims=…)', 'create_access_token(additional_headers=…)', 'additional_claims_loader', 'additional_headers_loader'], async (t) => {
    const shared = { tenant: 'a' }
    const built = await build(t, { claims: (_user, { request }) => Object.assign(shared, { agent: request?.headers['user-agent'] }), header: (_user, { reason }) => ({ reason }) })
    const { client, app, users } = built
    const { access_token: token, refresh_token: refreshToken } = await client.login()
    t.match(parse(token), { header: { reason: 'login' }, claims: { tenant: 'a', agent: 'lightMyRequest' } })
    t.same(Object.keys(shared), ['tenant', 'agent'], 'what they return is not written to')
    t.equal(parse((await client.refresh(refreshToken)).json().access_token).header.reason, 'refresh')
    t.equal(parse((await app.jwtSession.login(users.get('bob') as never)).access_token).claims.agent, undefined)
    for (const name of ['sub', 'exp', 'jti', 'fresh', 'csrf']) {
      const forging = await build(t, { claims: () => ({ [name]: 'x' }) })
      t.match((await forging.client.post('/login', { username: 'alice', password: 'wonderland' })), { statusCode: 500, code: 'OPTION_INVALID' }, name)
    }
    await refused(t, { header: { kid: 'x' } })
  }],
  [['decode_token', 'get_jti', 'get_unverified_jwt_headers'], async (t) => {
    const clock = stopClock(t)
    const { app, client } = await build(t)
    const token = (await client.login()).access_token
    const auth = await app.jwtSession.verify(token)
    t.equal(auth.claims.jti, parse(token).claims.jti)
    clock.advance(900)
    await t.rejects(app.jwtSession.verify(token), { code: `${CODE}TOKEN_EXPIRED` })
    t.same(app.jwtSession.decode(token), { header: parse(token).header, claims: parse(token).claims })
    t.equal(await app.jwtSession.revoke({ id: auth.sessionId, subject: auth.subject }), true)
  }],
  [['set_access_cookies', 'set_refresh_cookies', 'set_access_cookies(max_age=…)', 'set_access_cookies(domain=…)', 'unset_jwt_cookies', 'unset_access_cookies', 'unset_refresh_cookies'], async (t) => {
    const { app, browser, users } = await build(t, { deliver: 'cookie' })
    app.get('/callback', async (request, reply) => app.jwtSession.deliver(reply, await app.jwtSession.login(users.get('alice') as never, request)))
    app.get('/forget', (_request, reply: FastifyReply) => { app.jwtSession.clearCookies(reply); return reply.send('') })
    const answer = await browser.send('GET', '/callback')
    t.match(browser.setBy(answer)[0], /^__Host-access_token=.*Max-Age=900;/)
    const before = browser.cookieFor('/refresh')
    t.match(before, /access_token=.*refresh_token=|refresh_token=.*access_token=/s)
    await browser.send('GET', '/forget')
    t.equal(browser.cookieFor('/refresh'), '', 'both are gone')
    t.equal((await browser.send('GET', '/me', { headers: { cookie: before } })).statusCode, 200, 'the session is not')
    t.same(Object.keys(app.jwtSession).filter((name) => /cookie/i.test(name)), ['clearCookies'])
  }]
]

const refusals: Record<string, string> = {
  user_lookup_error_loader: 'SESSION_REVOKED',
  revoked_token_loader: 'SESSION_REVOKED',
  token_verification_failed_loader: 'CLAIMS_INSUFFICIENT',
  expired_token_loader: 'TOKEN_EXPIRED',
  invalid_token_loader: 'TOKEN_INVALID',
  unauthorized_loader: 'TOKEN_MISSING',
  needs_fresh_token_loader: 'REAUTHENTICATION_REQUIRED'
}

const callbacks: readonly Row[] = [
  [['JWT_ERROR_MESSAGE_KEY', ...Object.keys(refusals)], async (t) => {
    const clock = stopClock(t)
    const { app, client, browser, users } = await build(t)
    app.setErrorHandler((error: Error & { code: string }, _request, reply) => reply.code(418).send({ msg: error.code.replace(CODE, '') }))
    app.get('/user', { onRequest: [app.authenticate({ loadUser: true })] }, () => 'in')
    const bob = await client.login('bob', 'builder')
    const alice = await client.login()
    const seen: Record<string, string> = {}
    async function ask (url: string, token?: string): Promise<void> {
      const answer = await client.get(url, token)
      t.equal(answer.statusCode, 418, url)
      seen[`${url} ${answer.json().msg as string}`] = String(answer.headers['www-authenticate'])
    }
    await ask('/me')
    await ask('/me', 'x.y.z')
    await ask('/admin', bob.access_token)
    await ask('/fresh', (await client.refresh(bob.refresh_token)).json().access_token)
    await client.post('/logout', undefined, bob.access_token)
    await ask('/me', bob.access_token)
    await browser.login()
    t.equal((await browser.send('POST', '/me', { headers: { 'sec-fetch-site': 'cross-site' } })).json().msg, 'CSRF_FAILED')
    users.delete('alice')
    await ask('/user', alice.access_token)
    clock.advance(900)
    await ask('/me', alice.access_token)
    t.same(Array.from(new Set(Object.keys(seen).map((one) => one.split(' ')[1]))).sort(), Array.from(new Set(Object.values(refusals))).sort())
    for (const challenge of Object.values(seen)) t.match(challenge, /^Bearer/)
  }],
  [['token_in_blocklist_loader'], async (t) => {
    const { client } = await build(t)
    const token = (await client.login()).access_token
    await client.post('/logout', undefined, token)
    t.equal((await client.get('/me', token)).code, 'SESSION_REVOKED')
    const failing = memoryStore()
    const broken = await build(t, { revocationStore: { read: () => { throw new Error('down') }, write: failing.write, list: failing.list } })
    t.match(await broken.client.get('/me', await accessOf(broken)), { statusCode: 503, code: 'STORE_UNAVAILABLE' })
  }],
  [['token_verification_loader'], async (t) => {
    const { app, client } = await build(t)
    app.get('/many', { onRequest: [app.requireClaims({ roles: async (roles: string[]) => roles.length > 1 })] }, () => 'in')
    t.equal((await client.get('/many', (await client.login()).access_token)).statusCode, 200)
    t.match(await client.get('/many', (await client.login('bob', 'builder')).access_token), { statusCode: 403, code: 'CLAIMS_INSUFFICIENT' })
  }],
  [['encode_key_loader', 'decode_key_loader'], async (t) => {
    const built = await build(t, { secret: undefined, keys: [key('one')] })
    const token = await accessOf(built)
    await built.app.jwtSession.keys.add(key('two'))
    built.app.jwtSession.keys.promote('two')
    const next = await accessOf(built)
    t.equal(parse(next).header.kid, 'two')
    for (const one of [token, next]) t.equal((await built.client.get('/me', one)).statusCode, 200)
    built.app.jwtSession.keys.retire('one')
    t.match(await built.client.get('/me', token), { statusCode: 401, code: 'TOKEN_INVALID' })
  }]
]

t.test('Flask-JWT-Extended', async (t) => {
  const names = namesInChapter('Come from Flask-JWT-Extended')
  t.equal(names.filter((name) => name.startsWith('JWT_')).length, 43, 'all of its options')
  t.equal(names.filter((name) => name.endsWith('_loader')).length, 15, 'all of its callbacks')
  await proveRows(t, 'Come from Flask-JWT-Extended', [...options, ...functions, ...callbacks])
})

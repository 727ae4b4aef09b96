// Longer than other files: it goes on with the list of hostile.test.ts, whose ids are those of the statements that it holds true.
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { buildApp, type TestApp, type TestUser } from '../support/app'
import { forge, parse, reforge } from '../support/forge'
import { listen, type Headers, type Heard } from '../support/wire'

const ACCESS = '__Host-access_token'
const REFRESH = '__Secure-refresh_token'
const SEED = 20_260_101
const CREDENTIALS = { username: 'alice', password: 'wonderland' }

/** The bodies of all refusals. */
const bodies = new Set<string>()

/** What a page of another site, or of one that looks like ours, makes browsers say; HOST is the host of the server. */
const FORGED: Record<string, string>[] = [
  { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }, { 'sec-fetch-site': 'cross-site', origin: 'http://HOST' }, { 'sec-fetch-site': 'same-origin, cross-site' },
  { 'sec-fetch-site': '', origin: 'http://HOST' }, { 'sec-fetch-site': 'SAME-ORIGIN' }, { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-user': '?1' },
  ...[
    'null', '', 'https://evil.example', 'http://HOST.evil.example', 'http://evil.example/HOST', 'http://evil.example#HOST', 'http://evil.example?HOST', 'http://HOST@evil.example',
    'http://evil.example@HOST', 'http://HOST:80', 'http://HOST0', 'http://xHOST', 'http://127.0.0.1', 'https://127.0.0.1', 'http://localhost', 'ws://HOST', 'file://HOST', 'HTTP://HOST', 'http://HOST/',
    'http://HOST, https://evil.example', 'https://evil.example, http://HOST', '*', 'about:blank', 'chrome-extension://HOST', 'http://[::ffff:127.0.0.1]'
  ].map((origin) => ({ origin }))
]

t.test('C10: header and cookie together: a bad header never falls through to a good cookie, and two users are refused', async (t) => {
  const server = await serve(t, { locations: ['header', 'cookie'] })
  const [alice, bob] = [await server.tokens('alice'), await server.tokens('bob')]
  const bad = [
    '', 'x', 'a.b.c', `${alice.access} `, alice.access.slice(0, -2), alice.refresh, reforge(alice.access, {}, {}, 'x'), reforge(alice.access, { exp: 1 }), reforge(alice.access, { sid: 'x' }),
    forge({ alg: 'none' }, parse(alice.access).claims), bob.access
  ]
  for (const path of ['/me', '/maybe', '/admin']) {
    for (const text of bad) {
      const faults = faultsOf(await server.get(path, { authorization: `Bearer ${text}`, cookie: `${ACCESS}=${alice.access}` }), [400, 401], ['REQUEST_INVALID', 'TOKEN_INVALID'])
      // What Node trims is the same token in both places.
      t.same(text === `${alice.access} ` ? [] : faults, [], `${path}: ${text}`)
    }
  }
  for (const value of ['Bearer', 'bearer', `Bearer${alice.access}`, `Bearer  ${alice.access}`, `Bearer\t${alice.access}`, `Bearer ${alice.access}, Bearer ${alice.access}`, `Bearer "${alice.access}"`]) {
    t.same(faultsOf(await server.get('/me', { authorization: value, cookie: `${ACCESS}=${alice.access}` }), 400, 'REQUEST_INVALID'), [], value)
  }
  const twice = ['authorization', `Bearer ${alice.access}`, 'Authorization', `Bearer ${bob.access}`, 'cookie', `${ACCESS}=${alice.access}`]
  t.same(faultsOf(await server.get('/me', twice), 400, 'REQUEST_INVALID'), [])
  t.equal((await server.get('/me', { authorization: `Bearer ${alice.access}`, cookie: `${ACCESS}=${alice.access}` })).status, 200, 'one user in both places')
  t.same(faultsOf(await server.post('/logout', { authorization: `Bearer ${alice.access}`, cookie: `${REFRESH}=${bob.refresh}` }), 400, 'REQUEST_INVALID'), [])
  t.same(faultsOf(await server.post('/logout', { authorization: 'Bearer x', cookie: `${REFRESH}=${alice.refresh}` }), 401, 'TOKEN_INVALID'), [])
  for (const { access } of [alice, bob]) t.equal((await server.get('/me', { authorization: `Bearer ${access}` })).status, 200, 'and nobody is logged out')
})

t.test('G: cookies and CSRF', async (t) => {
  const server = await serve(t, { locations: ['cookie'] })
  const own = { 'sec-fetch-site': 'same-origin' }

  t.test('G1: cookies are HttpOnly, Secure, SameSite, without Domain, and their names say so', async (t) => {
    const { cookies } = await server.login()
    for (const header of cookies) {
      for (const attribute of ['HttpOnly', 'Secure', 'SameSite=Lax']) t.ok(header.split('; ').includes(attribute), `${attribute}: ${header}`)
      t.notMatch(header, /domain/i)
      t.match(header, /^__(?:Host|Secure)-[\w-]+=/)
      if (header.startsWith('__Host-')) t.match(header, '; Path=/; ')
    }
    t.same(cookies.map((header) => header.split('=')[0]), [ACCESS, REFRESH, REFRESH])
  })

  t.test('G2: tokens are in Set-Cookie only', async (t) => {
    const login = await server.login()
    const renewed = await server.post('/refresh', { ...own, cookie: login.jar })
    for (const answer of [login, renewed]) {
      const { 'set-cookie': _, ...others } = answer.headers
      const visible = JSON.stringify(others) + answer.body
      for (const token of valuesIn(answer)) {
        t.equal(token.split('.').length, 3)
        for (const part of token.split('.').slice(1)) t.notMatch(visible, part)
      }
      t.same(Object.keys(JSON.parse(answer.body)).sort(), ['csrf_token', 'expires_in', 'refresh_expires_in', 'token_type'])
      t.equal(answer.headers['cache-control'], 'no-store')
    }
  })

  t.test('G3: logout clears with the attributes that the cookies were set with', async (t) => {
    const { jar, cookies } = await server.login()
    const { cookies: cleared, status } = await server.post('/logout', { ...own, cookie: jar })
    t.equal(status, 204)
    const attributes = (header: string) => header.replace(/=[^;]*/, '').replace(/; Max-Age=\d+/, '')
    t.same(cleared.map(attributes), cookies.map(attributes))
    for (const header of cleared) t.match(header, /^[\w-]+=; Max-Age=0; /)
  })

  t.test('G4: refresh, logout, login and guarded requests of other sites are refused', async (t) => {
    const { jar } = await server.login()
    const csrf = parse(valueOf(jar, ACCESS)).claims.csrf as string
    for (const headers of FORGED) {
      const forged = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.replace('HOST', `127.0.0.1:${server.port}`)]))
      for (const [path, body] of [['/refresh'], ['/refresh', {}], ['/logout'], ['/logout', { everywhere: true }], ['/me'], ['/me', {}], ['/login', CREDENTIALS]] as const) {
        for (const repeated of [{}, { 'x-csrf-token': csrf }]) {
          const answer = await server.post(path, { ...forged, ...repeated, cookie: jar }, body)
          t.same(faultsOf(answer, 403, 'CSRF_FAILED'), [], `${path} ${JSON.stringify(forged)}`)
        }
      }
      t.same(faultsOf(await server.post('/login', forged, CREDENTIALS), 403, 'CSRF_FAILED'), [], 'a login without cookies')
    }
    for (const headers of [own, { 'sec-fetch-site': 'none' }, { origin: `http://127.0.0.1:${server.port}` }, { origin: `https://127.0.0.1:${server.port}` }]) {
      t.equal((await server.post('/me', { ...headers, cookie: jar })).status, 200, JSON.stringify(headers))
    }
  })

  t.test('G5: the CSRF token is bound to the session by its signature', async (t) => {
    const [alice, bob, again] = [await server.login(), await server.login('bob', 'builder'), await server.login()]
    const csrfOf = ({ body }: HttpAnswer): string => JSON.parse(body).csrf_token
    t.equal(new Set([alice, bob, again].map(csrfOf)).size, 3)
    for (const other of [csrfOf(bob), csrfOf(again), '', 'x', csrfOf(alice).slice(1), `${csrfOf(alice)}x`, csrfOf(alice).toLowerCase()]) {
      for (const vouched of [{}, own]) t.same(faultsOf(await server.post('/me', { ...vouched, cookie: alice.jar, 'x-csrf-token': other }), 403, 'CSRF_FAILED'), [], other)
      t.same(faultsOf(await server.post('/refresh', { cookie: alice.jar, 'x-csrf-token': other }, {}), 403, 'CSRF_FAILED'), [], other)
      t.same(faultsOf(await server.post('/logout', { cookie: alice.jar, 'x-csrf-token': other }, {}), 403, 'CSRF_FAILED'), [], other)
    }
    const forged = reforge(valueOf(alice.jar, ACCESS), { csrf: 'chosen' }, {}, 'another secret, of thirty-two bytes')
    t.same(faultsOf(await server.post('/me', { cookie: `${ACCESS}=${forged}; csrf=chosen; x-csrf-token=chosen`, 'x-csrf-token': 'chosen' }), 401, 'TOKEN_INVALID'), [], 'a value of their own in all places')
    t.equal((await server.post('/me', { cookie: alice.jar, 'x-csrf-token': csrfOf(alice) })).status, 200)
  })

  t.test('G6: a failed CSRF check logs nobody out', async (t) => {
    const { jar } = await server.login()
    for (const path of ['/refresh', '/logout', '/me', '/login']) {
      for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { origin: 'null' }, { 'x-csrf-token': 'x' }]) {
        const { status, cookies } = await server.post(path, { ...headers, cookie: jar }, path === '/login' ? { username: 'alice', password: 'wrong' } : undefined)
        t.ok(status === 403 || (path === '/login' && status === 401))
        t.same(cookies, [], 'no cookie is touched')
      }
      // A dead token makes no difference to another site: its refusal would clear the access token as well.
      t.same((await server.post(path, { 'sec-fetch-site': 'cross-site', cookie: `${REFRESH}=x` })).cookies, [])
    }
    t.equal((await server.get('/me', { cookie: jar })).status, 200)
    t.equal((await server.post('/refresh', { ...own, cookie: jar })).status, 200)
  })

  t.test('G7: tossed, malformed and many cookies are no 5xx, and choose no session', async (t) => {
    const alice = await server.login()
    const bob = await server.login('bob', 'builder')
    const [access, other] = [valueOf(alice.jar, ACCESS), valueOf(bob.jar, ACCESS)]
    const conflicts = [`${ACCESS}=${access}; ${ACCESS}=${other}`, `${ACCESS}=${other}; ${ACCESS}=${access}`, `${ACCESS}=${access}; ${ACCESS}=x`, `${ACCESS}=; ${ACCESS}=${access}`, `${ACCESS}=${access};${ACCESS}=`]
    for (const cookie of conflicts) t.same(faultsOf(await server.get('/me', { cookie }), 400, 'REQUEST_INVALID'), [], cookie)
    t.same(faultsOf(await server.get('/me', ['cookie', `${ACCESS}=${access}`, 'Cookie', `${ACCESS}=${other}`]), 400, 'REQUEST_INVALID'), [], 'in two headers')
    const tossed = `${REFRESH}=${valueOf(alice.jar, REFRESH)}; ${REFRESH}=${valueOf(bob.jar, REFRESH)}`
    for (const path of ['/refresh', '/logout']) t.same(faultsOf(await server.post(path, { ...own, cookie: tossed }), 400, 'REQUEST_INVALID'), [], path)
    t.same(faultsOf(await server.post('/refresh', { ...own, cookie: alice.jar }, { refresh_token: valueOf(bob.jar, REFRESH) }), 400, 'REQUEST_INVALID'), [], 'body and cookie')

    const ignored = [
      ACCESS, `=${access}`, `${ACCESS.toLowerCase()}=${access}`, `${ACCESS} =${access}`, `\xa0${ACCESS}=${access}`, `x=y; \xa0${ACCESS}=${access}`, `\x85${ACCESS}=${access}`, `\xc2\xa0${ACCESS}=${access}`,
      `x${ACCESS}=${access}`, `x=${ACCESS}=${access}`, `"${ACCESS}"=${access}`, `${ACCESS}%3D${access}`, `${encodeURIComponent('__Host')}%2daccess_token=${access}`, `$Version=1,${ACCESS}=${access}`,
      `__Host-access_token[]=${access}`, '__proto__=x; constructor=x; toString=x', '%', '%zz=%zz', ';;;', '=', '; ; =;', '\xff\xfe=\xff'
    ]
    for (const cookie of ignored) t.same(faultsOf(await server.get('/me', { cookie }), 401, 'TOKEN_MISSING'), [], cookie)
    for (const value of ['x', '%', '%00', '%zz', '"', `"${access}"`, encodeURIComponent(`${access}=`), `${access}=`, `${access},${access}`, `s:${access}.x`, '__proto__', '{}', '\xff', valueOf(alice.jar, REFRESH), 'x'.repeat(9000)]) {
      t.same(faultsOf(await server.get('/me', { cookie: `${ACCESS}=${value}` }), 401, 'TOKEN_INVALID'), [], value.slice(0, 60))
    }
    const many = Array.from({ length: 300 }, (_, index) => `c${index}=%E0%A4%A`).join('; ')
    t.equal((await server.get('/me', { cookie: `${many}; ${ACCESS}=${access}; ${many}` })).status, 200)
    t.equal((await server.get('/me', { cookie: `${ACCESS}=${access}; ${ACCESS}=${access}` })).status, 200, 'the same one twice is one')

    const part = fc.constantFrom(ACCESS, REFRESH, '=', ';', '; ', ' ', ',', '"', '%', '\t', '\xa0', '__Host-', '__proto__', access, access.slice(0, 30), 'x', '$Path=/', '\\', '\xff')
    await t.resolves(fc.assert(fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 14 }), fc.constantFrom('/me', '/maybe', '/refresh', '/logout'), async (parts, path) => {
      const cookie = parts.join('')
      const answer = path.startsWith('/m') ? await server.get(path, { cookie }) : await server.post(path, { 'sec-fetch-site': 'cross-site', cookie })
      if (answer.status >= 500 || answer.cookies.length > 0) throw new Error(`${answer.status} ${path} ${answer.body}`)
    }), { seed: SEED, numRuns: 400 }))
  })

  t.test('G8: no cookie is longer than 4,096 bytes', async (t) => {
    let size = 0
    const big = await serve(t, { locations: ['cookie'], claims: () => ({ text: 'x'.repeat(size) }) })
    let longest = 0
    let refused = 0
    for (size = 2600; size < 2900; size += 10) {
      const { status, code, cookies, body } = await big.login()
      for (const header of cookies) longest = Math.max(longest, Buffer.byteLength(header.split(';')[0] as string) - 1)
      if (status === 200) continue
      refused++
      t.match({ status, code }, { status: 500, code: 'OPTION_INVALID' })
      t.same(cookies, [])
      t.notMatch(body, 'xxxx')
    }
    t.ok(longest > 4000 && longest <= 4096, `the longest was ${longest}`)
    t.ok(refused > 0, 'and longer ones were refused')
    t.equal((await big.app.jwtSession.list('user-alice')).length, 30 - refused, 'before a session was opened')
  })

  t.test('G9: the refresh cookie is limited to refresh and logout', async (t) => {
    const { cookies } = await server.login()
    const paths = cookies.filter((header) => header.startsWith(`${REFRESH}=`)).map((header) => /; Path=([^;]*)/.exec(header)?.[1])
    t.same(paths, ['/refresh', '/logout'])
  })

  t.test('G10: a request without a body, or with that of a form, has to bring what a form cannot', async (t) => {
    const { jar } = await server.login()
    const types = ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x', 'text/plain; application/json', 'application/jsonx', '']
    for (const path of ['/refresh', '/logout', '/me']) {
      t.same(faultsOf(await server.post(path, { cookie: jar }), 403, 'CSRF_FAILED'), [], path)
      for (const type of types) {
        const labelled = { cookie: jar, 'content-type': type }
        const empty = await server.send('POST', path, labelled, '')
        t.same([empty.status, empty.cookies], [empty.status === 415 ? 415 : 403, []], `${path} ${type}`)
        const full = await server.send('POST', path, labelled, '{"everywhere":true}')
        t.ok(full.status === 415 || full.status === 403 || full.status === 400, `${path} ${type} ${full.status}`)
        t.same(full.cookies, [])
      }
    }
    for (const type of types) t.match(await server.send('POST', '/login', { 'content-type': type }, JSON.stringify(CREDENTIALS)), { cookies: [] }, `login ${type}`)
    t.equal((await server.get('/me', { cookie: jar })).status, 200, 'the session is alive')
    t.equal((await server.post('/refresh', { cookie: jar }, {})).status, 200, 'JSON is what a form cannot send')
  })
})

t.test('no refusal of these gave away what was sent, or how it was made', async (t) => {
  t.ok(bodies.size > 5)
  for (const body of bodies) t.notMatch(body, /node_modules|\.ts\b|at \w+ \(|eyJ|wonderland|__Host|__Secure/, body)
})

interface HttpAnswer extends Heard {
  code: string | undefined
  /** The `Set-Cookie` headers. */
  cookies: string[]
}

interface Served extends TestApp {
  port: number
  send (method: string, path: string, headers: Headers, body?: string): Promise<HttpAnswer>
  get (path: string, headers: Headers): Promise<HttpAnswer>
  post (path: string, headers: Record<string, string>, body?: object): Promise<HttpAnswer>
  /** Logs in by cookies; `jar` is the Cookie header for refresh. */
  login (username?: string, password?: string): Promise<HttpAnswer & { jar: string }>
  /** The tokens of a session that no request opened. */
  tokens (username: string): Promise<{ access: string, refresh: string }>
}

/** An application that listens. */
async function serve (t: Test, options: Parameters<typeof buildApp>[1]): Promise<Served> {
  const server = await buildApp(t, options, { forceCloseConnections: true })
  const { port, send: sendOver } = await listen(t, server.app)

  const send: Served['send'] = async (method, path, headers, body) => {
    const heard = await sendOver(method, path, headers, body)
    if (heard.status >= 400) bodies.add(heard.body)
    const code = heard.body.startsWith('{') ? (JSON.parse(heard.body) as { code?: string }).code?.replace('FST_JWT_SESSION_', '') : undefined
    return { ...heard, code, cookies: heard.headers['set-cookie'] ?? [] }
  }

  return {
    ...server,
    port,
    send,
    get: async (path, headers) => await send('GET', path, headers),
    post: async (path, headers, body) => body === undefined
      ? await send('POST', path, headers)
      : await send('POST', path, { ...headers, 'content-type': 'application/json' }, JSON.stringify(body)),
    async login (username = CREDENTIALS.username, password = CREDENTIALS.password) {
      const answer = await send('POST', '/login', { 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' }, JSON.stringify({ username, password }))
      return { ...answer, jar: answer.cookies.slice(0, 2).map((header) => header.split(';')[0]).join('; ') }
    },
    async tokens (username) {
      const answer = await server.app.jwtSession.login(server.users.get(username) as TestUser)
      return { access: answer.access_token, refresh: answer.refresh_token }
    }
  }
}

/** What is wrong with a refusal: nothing, if all is well. */
function faultsOf ({ status, code, headers, body, cookies }: HttpAnswer, expected: number | number[], codes: string | string[]): string[] {
  const faults: string[] = []
  if (![expected].flat().includes(status)) faults.push(`status ${status}`)
  if (![codes].flat().includes(String(code))) faults.push(`code ${code}`)
  if (headers['cache-control'] !== 'no-store') faults.push('may be stored')
  if (status === 401 && !/^Bearer\b/.test(String(headers['www-authenticate']))) faults.push(`challenge ${headers['www-authenticate']}`)
  if (status === 403 && headers['www-authenticate'] !== undefined) faults.push(`challenge ${headers['www-authenticate']}`)
  if (cookies.length > 0) faults.push(`sets ${cookies.join()}`)
  if (Object.keys(JSON.parse(body)).sort().join() !== 'code,error,message,statusCode') faults.push(`members ${body}`)
  return faults
}

function valuesIn ({ cookies }: HttpAnswer): string[] {
  return cookies.map((header) => header.slice(header.indexOf('=') + 1, header.indexOf(';')))
}

/** The value of a cookie in a `Cookie` header. */
function valueOf (jar: string, name: string): string {
  return jar.split('; ').find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1) as string
}

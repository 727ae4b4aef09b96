import { createHmac, type KeyObject } from 'node:crypto'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import jwtSession, { memoryStore, type Key, type KeyAlgorithm, type TokenAnswer, type VerifyOnlyOptions } from '../../lib'
import { buildApp, clientOf, lookupIn, makeUsers, plainPasswords, SECRET, type Client, type TestApp } from '../support/app'
import { stopClock } from '../support/clock'
import { forge, forgeBy, parse, reforge, segment } from '../support/forge'
import { forgeriesOf } from '../support/forgeries'
import { makeKey, publicOption, type TestKey } from '../support/keys'

const INVALID = { code: 'FST_JWT_SESSION_OPTION_INVALID' }
const ALGORITHMS: KeyAlgorithm[] = ['HS256', 'RS256', 'PS256', 'ES256', 'EdDSA']
const JWKS = '/.well-known/jwks.json'

const made = Object.fromEntries(ALGORITHMS.map((algorithm) => [algorithm, makeKey(algorithm, `${algorithm}-1`)])) as Record<KeyAlgorithm, TestKey>

/** Every token is answered by 401 TOKEN_INVALID. */
async function refuses (t: Test, client: Client, tokens: string[]): Promise<void> {
  const answers = await Promise.all(tokens.map(async (token) => await client.get('/me', token)))
  t.same(answers.flatMap(({ statusCode, code }, index) => statusCode === 401 && code === 'TOKEN_INVALID' ? [] : [`${statusCode} ${code} ${tokens[index]}`]), [])
}

/** A resource server with a guarded route. */
async function resourceServer (t: Test, options: VerifyOnlyOptions): Promise<Pick<TestApp, 'app' | 'client'>> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(jwtSession, options)
  app.get('/me', { onRequest: [app.authenticate] }, ({ auth }) => auth)
  app.get('/admin', { onRequest: [app.requireClaims({ roles: 'admin' })] }, () => 'hello')
  return { app, client: clientOf(app) }
}

for (const algorithm of ALGORITHMS) {
  const { option, signs, publicKey } = made[algorithm]

  t.test(`${algorithm}: login, guarded route, refresh, reuse, logout`, async (t) => {
    const { client } = await buildApp(t, { secret: undefined, keys: [option] })
    const first = await client.login()
    t.match(parse(first.access_token).header, { alg: algorithm, typ: 'at+jwt', kid: `${algorithm}-1` })
    t.match(parse(first.refresh_token).header, { alg: algorithm, typ: 'rt+jwt', kid: `${algorithm}-1` })
    const me = await client.get('/me', first.access_token)
    t.match(me.json(), { subject: 'user-alice', header: { alg: algorithm }, fresh: true })
    t.equal((await client.get('/me', first.refresh_token)).code, 'TOKEN_INVALID')
    t.equal((await client.refresh(first.access_token)).code, 'REFRESH_TOKEN_INVALID')
    const second = (await client.refresh(first.refresh_token)).json() as TokenAnswer
    t.equal((await client.get('/me', second.access_token)).statusCode, 200)
    t.equal((await client.refresh(first.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    t.equal((await client.get('/me', second.access_token)).code, 'SESSION_REVOKED')
    const third = await client.login()
    t.equal((await client.post('/logout', undefined, third.access_token)).statusCode, 204)
    t.equal((await client.get('/me', third.access_token)).code, 'SESSION_REVOKED')
  })

  t.test(`${algorithm}: forged tokens are refused`, async (t) => {
    const { client } = await buildApp(t, { secret: undefined, keys: [option, makeKey('EdDSA', 'other').option] })
    const { access_token: token } = await client.login()
    const { header, claims } = parse(token)
    const by = (header: object, claims: unknown): string => forgeBy(algorithm, signs, header, claims)
    const forgeries = forgeriesOf(token, { algorithm, signs, publicKey }, made.RS256.publicKey as KeyObject)

    t.equal((await client.get('/me', by(header, { ...claims, jti: 'other' }))).statusCode, 200, 'but for one by its own key')
    t.equal((await client.get('/me', by({ kid: header.kid, typ: header.typ, alg: header.alg }, claims))).statusCode, 200, 'however its header is ordered')

    t.test('A1, A2, A3: no other algorithm, and none', async (t) => await refuses(t, client, forgeries.algorithms))
    t.test('A4: a public key in any spelling is no secret', async (t) => await refuses(t, client, forgeries.publicKeys))
    t.test('A5, A8: zero, long, short, cut, DER-coded and bent signatures', async (t) => await refuses(t, client, forgeries.signatures))
    t.test('A7: an empty key signs nothing', async (t) => await refuses(t, client, forgeries.emptyKeys))
    t.test('A9: padding, blanks, other alphabets, other numbers of parts', async (t) => await refuses(t, client, forgeries.shapes))
    t.test('A10: a token has one text', async (t) => await refuses(t, client, forgeries.spellings))
    t.test('A11, A12, A13, A14: a header that says more than the kind, the algorithm and the key', async (t) => await refuses(t, client, forgeries.headers))
    t.test('A15, I2: a kid that names no key, and one that names another', async (t) => await refuses(t, client, forgeries.kids))
    t.test('A17: a payload that is no JSON object in UTF-8', async (t) => await refuses(t, client, forgeries.payloads))
    await t.test('and its session goes on', async (t) => { t.equal((await client.get('/me', token)).statusCode, 200) })
  })
}

t.test('ES256: the twin of a signature is another text of the same session, and ends with it', async (t) => {
  const { client } = await buildApp(t, { secret: undefined, keys: [made.ES256.option] })
  const { access_token: token } = await client.login()
  const { parts: [head, payload, signature] } = parse(token)
  const bytes = Buffer.from(signature, 'base64url')
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const s = n - BigInt(`0x${bytes.subarray(32).toString('hex')}`)
  const twin = `${head}.${payload}.${Buffer.concat([bytes.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]).toString('base64url')}`
  t.equal((await client.get('/me', twin)).statusCode, 200)
  await client.post('/logout', undefined, token)
  t.equal((await client.get('/me', twin)).code, 'SESSION_REVOKED')
})

t.test('A7, I3: start-up refuses keys that cannot be what they should', async (t) => {
  const register = async (keys: unknown) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(jwtSession, { keys: keys as Key[], userLookup: lookupIn(makeUsers()), passwords: plainPasswords })
  }
  const { EdDSA, HS256 } = made
  for (const keys of [[], {}, 'x', [undefined], [{ ...HS256.option, secret: '' }], [{ ...HS256.option, secret: undefined }], [{ ...HS256.option, algorithm: undefined }], [publicOption(EdDSA)],
    [EdDSA.option, EdDSA.option], [{ ...EdDSA.option, algorithm: 'HS256' }], [{ ...EdDSA.option, algorithm: 'none' }]]) {
    await t.rejects(register(keys), INVALID)
  }
  await t.resolves(register([EdDSA.option, HS256.option]))
})

t.test('A7: a published key that is empty or symmetric verifies nothing, whatever names it', async (t) => {
  const issuing = await buildApp(t, { secret: undefined, keys: [made.EdDSA.option] })
  const { access_token: token } = await issuing.client.login()
  const empty = ['', 'AA', undefined, null].map((k, index) => ({ kty: 'oct', k, kid: `empty-${index}`, alg: 'HS256', use: 'sig' }))
  const jwk = { ...made.EdDSA.publicKey?.export({ format: 'jwk' }), kid: 'EdDSA-1', alg: 'EdDSA', use: 'sig' }
  const nothing = [{ ...jwk, kid: 'bare', x: '' }, { kid: 'null', alg: 'EdDSA' }, null, 'x', {}]
  const { client, app } = await resourceServer(t, { jwks: { keys: [...empty, ...nothing, jwk] as never }, revocationStore: false })
  t.same(app.jwtSession.keys.list().map(({ kid }) => kid), ['EdDSA-1'])
  const kids = [...empty.map(({ kid }) => kid), 'bare', 'null', 'undefined', '', undefined, 'EdDSA-1']
  await refuses(t, client, kids.flatMap((kid) => ['', '\0', Buffer.alloc(1), Buffer.alloc(32)].flatMap((secret) => ['HS256', 'EdDSA'].map((alg) => reforge(token, {}, { alg, kid }, secret)))))
  t.equal((await client.get('/me', token)).statusCode, 200)
})

t.test('I1: the JWKS route shows public members only, and may be kept for a while', async (t) => {
  const all = [...Object.values(made), makeKey('HS512', 'hs512')]
  const { client, app } = await buildApp(t, { secret: SECRET, keys: all.map(({ option }) => option), routes: { jwks: true } })
  const answer = await client.get(JWKS)
  t.equal(answer.statusCode, 200)
  t.match(answer.headers['content-type'], /^application\/json\b/)
  t.equal(answer.headers['cache-control'], 'public, max-age=300')
  t.equal((await client.get('/me')).headers['cache-control'], 'no-store')

  const { keys } = answer.json() as { keys: Record<string, string>[] }
  t.same(keys.map(({ kid, alg, use }) => `${kid} ${alg} ${use}`), ['RS256-1 RS256 sig', 'PS256-1 PS256 sig', 'ES256-1 ES256 sig', 'EdDSA-1 EdDSA sig'])
  const members: Record<string, string[]> = { RSA: ['n', 'e'], EC: ['crv', 'x', 'y'], OKP: ['crv', 'x'] }
  for (const key of keys) {
    t.same(Object.keys(key).sort(), [...members[key.kty as string] as string[], 'kty', 'kid', 'alg', 'use'].sort())
    const own = Object.values(made).find(({ option }) => option.kid === key.kid)
    t.match(key, own?.publicKey?.export({ format: 'jwk' }) as object)
    t.notMatch(answer.body, own?.signs.export({ format: 'jwk' }).d as string)
  }
  t.notMatch(answer.body, Buffer.from(SECRET).toString('base64url'))

  await app.jwtSession.keys.add(makeKey('EdDSA', 'next').option)
  app.jwtSession.keys.retire('RS256-1')
  t.same(((await client.get(JWKS)).json() as { keys: { kid: string }[] }).keys.map(({ kid }) => kid), ['PS256-1', 'ES256-1', 'EdDSA-1', 'next'])
})

t.test('the JWKS route is off by default, may be elsewhere, and needs a key to show', async (t) => {
  const keys = [made.ES256.option]
  t.equal((await (await buildApp(t, { secret: undefined, keys })).client.get(JWKS)).statusCode, 404)
  const moved = await buildApp(t, { secret: undefined, keys, routes: { prefix: '/auth', jwks: '/keys' } })
  t.equal((await moved.client.get('/auth/keys')).statusCode, 200)
  for (const jwks of [true, '/keys', {}] as const) {
    await t.rejects(buildApp(t, { routes: { jwks } }), { ...INVALID, message: /routes\.jwks/ })
    await t.rejects(buildApp(t, { secret: undefined, keys: [made.HS256.option], routes: { jwks } }), { ...INVALID, message: /routes\.jwks/ })
  }
})

t.test('I2: keys are changed under sessions that go on', async (t) => {
  const { client, app } = await buildApp(t)
  const { keys } = app.jwtSession
  let tokens = await client.login()
  const old = tokens
  t.same(keys.list(), [{ kid: null, algorithm: 'HS256', use: 'sign' }])
  for (const algorithm of ALGORITHMS) {
    const before = tokens
    await keys.add(made[algorithm].option)
    const early = forgeBy(algorithm, made[algorithm].signs, { alg: algorithm, typ: 'at+jwt', kid: `${algorithm}-1` }, parse(before.access_token).claims)
    t.equal((await client.get('/me', early)).statusCode, 200, 'what another node signs already is honoured')
    keys.promote(`${algorithm}-1`)
    t.equal((await client.get('/me', before.access_token)).statusCode, 200)
    tokens = (await client.refresh(before.refresh_token)).json() as TokenAnswer
    t.equal(parse(tokens.refresh_token).header.kid, `${algorithm}-1`)
    t.equal((await client.get('/me', tokens.access_token)).statusCode, 200)
  }
  t.same(keys.list().map(({ kid, use }) => `${kid} ${use}`), ['null verify', 'HS256-1 verify', 'RS256-1 verify', 'PS256-1 verify', 'ES256-1 verify', 'EdDSA-1 sign'])

  t.equal((await client.get('/me', old.access_token)).statusCode, 200)
  keys.retire(null)
  t.equal((await client.get('/me', old.access_token)).code, 'TOKEN_INVALID')
  t.equal((await client.post('/logout', undefined, old.access_token)).code, 'TOKEN_INVALID')
  t.equal((await client.get('/me', tokens.access_token)).statusCode, 200)
  t.equal((await app.jwtSession.list('user-alice')).length, 1, 'it is one session throughout')
  await refuses(t, client, Array.from({ length: 100 }, (_, index) => reforge(tokens.access_token, {}, { kid: `unknown-${index}` })))
})

t.test('an application moves from secret to keys in three deployments, and nobody is logged out', async (t) => {
  const revocationStore = memoryStore()
  const key = made.EdDSA.option
  const deploy = async (options: object) => (await buildApp(t, { revocationStore, secret: undefined, ...options })).client
  const before = await deploy({ secret: SECRET })
  const knowing = await deploy({ secret: SECRET, keys: [{ ...key, use: 'verify' }] })
  const signing = await deploy({ secret: SECRET, keys: [key] })
  const after = await deploy({ keys: [key] })

  const one = await before.login()
  const two = (await knowing.refresh(one.refresh_token)).json() as TokenAnswer
  t.equal((await before.get('/me', two.access_token)).statusCode, 200, 'the first two know what each other signs')
  const three = (await signing.refresh(two.refresh_token)).json() as TokenAnswer
  t.equal((await knowing.get('/me', three.access_token)).statusCode, 200, 'so do the second and the third')
  t.equal((await signing.get('/me', two.access_token)).statusCode, 200)
  const four = (await knowing.refresh(three.refresh_token)).json() as TokenAnswer
  t.equal(parse(four.access_token).header.alg, 'HS256')
  const five = (await signing.refresh(four.refresh_token)).json() as TokenAnswer
  t.equal((await after.get('/me', five.access_token)).statusCode, 200)
  t.equal((await after.get('/me', four.access_token)).code, 'TOKEN_INVALID')
})

t.test('header: extra members of access tokens', async (t) => {
  const fields = { app: 'shop', deep: { level: [1] } }
  const revocationStore = memoryStore()
  const { client } = await buildApp(t, { revocationStore, header: fields })
  const plain = await buildApp(t, { revocationStore })
  const tokens = await client.login()
  t.same(parse(tokens.access_token).header, { alg: 'HS256', typ: 'at+jwt', ...fields })
  t.same(parse(tokens.refresh_token).header, { alg: 'HS256', typ: 'rt+jwt' })
  fields.deep.level.push(2)
  t.same((await client.get('/me', tokens.access_token)).json().header.deep, { level: [1] }, 'they are copied')
  t.same(parse((await client.login()).access_token).header.deep, { level: [1] })
  t.equal((await client.get('/me', (await plain.client.login()).access_token)).statusCode, 200, 'tokens from before the option pass')
  await refuses(t, plain.client, [tokens.access_token])
  await refuses(t, client, [reforge(tokens.access_token, {}, { other: 1 }), reforge(tokens.access_token, {}, { crit: ['app'] }), reforge(tokens.access_token, {}, { kid: 'x' })])

  for (const header of ['x', [], { alg: 'none' }, { crit: ['x'] }, { kid: 'x' }, { jwk: {} }, { b64: false }]) {
    await t.rejects(buildApp(t, { header: header as never }), { ...INVALID, message: /header/ })
  }
})

t.test('header: made for each token', async (t) => {
  for (const algorithm of ALGORITHMS) {
    let fields: unknown
    const seen: unknown[] = []
    const { client } = await buildApp(t, {
      secret: undefined,
      keys: [made[algorithm].option],
      header: async (user, { reason, sessionId }) => {
        seen.push([user.id, reason, typeof sessionId])
        return fields as object
      }
    })
    fields = { tenant: 'a' }
    const one = await client.login()
    fields = {}
    const two = (await client.refresh(one.refresh_token)).json() as TokenAnswer
    t.same(parse(one.access_token).header, { alg: algorithm, typ: 'at+jwt', kid: `${algorithm}-1`, tenant: 'a' })
    t.same(parse(two.access_token).header, { alg: algorithm, typ: 'at+jwt', kid: `${algorithm}-1` })
    for (const { access_token: token } of [one, two]) t.equal((await client.get('/me', token)).statusCode, 200)
    t.same(seen, [['user-alice', 'login', 'string'], ['user-alice', 'refresh', 'string']])
    for (fields of [undefined, null, 'x', [], { alg: 'none' }, { kid: 'x' }]) {
      t.equal((await client.refresh(two.refresh_token)).code, 'OPTION_INVALID')
    }
    fields = {}
    t.equal((await client.refresh(two.refresh_token)).statusCode, 200, 'and none of these burned the token')
  }
})

t.test('accessToken.nbf: a token says from when it is valid, and is not before', async (t) => {
  const clock = stopClock(t)
  const revocationStore = memoryStore()
  const { client } = await buildApp(t, { revocationStore, accessToken: { nbf: true } })
  const { access_token: token, refresh_token: refreshToken } = await client.login()
  const { claims } = parse(token)
  t.equal(claims.nbf, claims.iat)
  t.notOk('nbf' in parse(refreshToken).claims)
  t.equal((await client.get('/me', token)).statusCode, 200)
  clock.advance(-2)
  t.equal((await client.get('/me', token)).code, 'TOKEN_INVALID', 'where the clock is behind')
  const tolerant = await buildApp(t, { revocationStore, clockTolerance: 5 })
  t.equal((await tolerant.client.get('/me', token)).statusCode, 200)
  await t.rejects(buildApp(t, { accessToken: { nbf: 'yes' as never } }), { ...INVALID, message: /accessToken\.nbf/ })
})

t.test('a resource server honours tokens by public keys alone', async (t) => {
  for (const algorithm of ALGORITHMS.slice(1)) {
    const key = made[algorithm]
    const issuing = await buildApp(t, { secret: undefined, keys: [key.option], routes: { jwks: true } })
    const published = (await issuing.client.get(JWKS)).json()
    for (const source of [{ keys: [publicOption(key)] }, { jwks: published }] as const) {
      const { client, app } = await resourceServer(t, { ...source, revocationStore: false })
      const tokens = await issuing.client.login()
      t.match((await client.get('/me', tokens.access_token)).json(), { subject: 'user-alice', claims: { roles: ['admin', 'editor'] }, header: { kid: key.option.kid } })
      t.equal((await client.get('/admin', tokens.access_token)).statusCode, 200)
      t.equal((await client.get('/admin', (await issuing.client.login('bob', 'builder')).access_token)).code, 'CLAIMS_INSUFFICIENT')
      t.equal((await app.jwtSession.verify(tokens.access_token)).subject, 'user-alice')
      t.match(app.jwtSession.decode(tokens.access_token), { claims: { sub: 'user-alice' } })
      t.same(app.jwtSession.keys.list(), [{ kid: key.option.kid, algorithm, use: 'verify' }])
      await refuses(t, client, [
        tokens.refresh_token,
        forgeBy(algorithm, makeKey(algorithm, 'x').signs, parse(tokens.access_token).header, parse(tokens.access_token).claims),
        reforge(tokens.access_token, {}, { kid: 'unknown' }), forge(parse(tokens.access_token).header, parse(tokens.access_token).claims)
      ])
      for (const url of ['/login', '/refresh', '/logout']) t.equal((await client.post(url, {})).statusCode, 404)
      await issuing.client.post('/logout', undefined, tokens.access_token)
      t.equal((await client.get('/me', tokens.access_token)).statusCode, 200, 'it was told not to ask for the session')
    }
  }
})

t.test('a resource server sees the end of a session in a shared store', async (t) => {
  const revocationStore = memoryStore()
  const issuing = await buildApp(t, { secret: undefined, keys: [made.EdDSA.option], revocationStore })
  const { client, app } = await resourceServer(t, { keys: [publicOption(made.EdDSA)], revocationStore })
  const { access_token: token } = await issuing.client.login()
  t.equal((await client.get('/me', token)).statusCode, 200)
  await issuing.client.post('/logout', undefined, token)
  t.equal((await client.get('/me', token)).code, 'SESSION_REVOKED')

  const { access_token: another } = await issuing.client.login()
  const [session] = await app.jwtSession.list('user-alice')
  t.equal(await app.jwtSession.revoke({ id: session?.id as string, subject: 'user-alice' }), true, 'and may end one')
  t.equal((await issuing.client.get('/me', another)).code, 'SESSION_REVOKED')
})

t.test('a resource server expires tokens, and has its own issuer, audience and lifetime', async (t) => {
  const clock = stopClock(t)
  const header = { app: 'shop' }
  const issuing = await buildApp(t, { secret: undefined, keys: [made.ES256.option], issuer: 'https://issuer.example', audience: ['a', 'b'], accessToken: { expiresIn: '1h' }, header })
  const { access_token: token } = await issuing.client.login()
  const fitting = { keys: [publicOption(made.ES256)], revocationStore: false as const, issuer: 'https://issuer.example', audience: 'b', accessToken: { expiresIn: '1h' }, header: { app: '' } }
  const { client } = await resourceServer(t, fitting)
  t.equal((await client.get('/me', token)).statusCode, 200)
  for (const unfit of [{ issuer: 'https://other.example' }, { audience: 'c' }, { accessToken: {} }, { header: {} }]) {
    await refuses(t, (await resourceServer(t, { ...fitting, ...unfit })).client, [token])
  }
  clock.advance(3600)
  t.equal((await client.get('/me', token)).code, 'TOKEN_EXPIRED')
})

t.test('a resource server may share a secret, if it says that it only verifies', async (t) => {
  const issuing = await buildApp(t, { secret: undefined, keys: [made.HS256.option] })
  const { client, app } = await resourceServer(t, { keys: [{ ...made.HS256.option, use: 'verify' }], revocationStore: false })
  t.equal((await client.get('/me', (await issuing.client.login()).access_token)).statusCode, 200)
  t.throws(() => app.jwtSession.keys.retire('unknown'), INVALID)
})

t.test('what a resource server cannot do says so', async (t) => {
  const { app } = await resourceServer(t, { keys: [publicOption(made.EdDSA)], revocationStore: false })
  const { jwtSession: session } = app
  const user = { id: 'x', passwordHash: 'x' }
  const calls: Promise<unknown>[] = [
    session.login(user), session.refresh('x'), session.hashPassword('x'), session.verifyPassword('x', 'y'), session.revoke({ id: 'x', subject: 'x' }), session.revokeAll('x'), session.list('x')
  ]
  for (const call of calls) await t.rejects(call as Promise<string>, { ...INVALID, message: /only verified here/ })
  t.ok(Object.isFrozen(session))
})

t.test('I3: a resource server refuses options that it cannot be sure of', async (t) => {
  const key = publicOption(made.RS256)
  const jwk = { ...made.RS256.publicKey?.export({ format: 'jwk' }), kid: 'RS256-1', alg: 'RS256', use: 'sig' }
  const wrong: [object, RegExp][] = [
    [{ keys: [key] }, /revocationStore is missing/],
    [{ keys: [key], revocationStore: undefined }, /revocationStore is missing/],
    [{ keys: [key], revocationStore: {} }, /revocationStore has no method/],
    [{ keys: [key], jwks: { keys: [jwk] }, revocationStore: false }, /jwks and keys/],
    [{ keys: [key], revocationStore: false, claims: () => ({}) }, /options\.claims does not exist/],
    [{ keys: [key], revocationStore: false, routes: {} }, /options\.routes does not exist/],
    [{ keys: [key], revocationStore: false, session: { idleTimeout: '1d' } }, /session\.idleTimeout does not exist/],
    [{ keys: [key], revocationStore: false, accessToken: { nbf: true } }, /accessToken\.nbf does not exist/],
    [{ jwks: { keys: [] }, revocationStore: false }, /jwks holds no key/],
    [{ jwks: { keys: [{ ...jwk, alg: undefined }] }, revocationStore: false }, /jwks holds no key/],
    [{ jwks: { keys: [{ ...jwk, alg: 'HS256' }] }, revocationStore: false }, /jwks holds no key/],
    [{ jwks: null, revocationStore: false }, /jwks is not a JSON Web Key Set/],
    [{ jwks: {}, revocationStore: false }, /jwks is not a JSON Web Key Set/],
    ...['http://issuer.example/jwks.json', 'ftp://localhost', 'jwks.json', '', undefined, 4].map((url): [object, RegExp] => [{ jwks: { url }, revocationStore: false }, /jwks\.url/]),
    [{ jwks: { url: 'https://localhost', ttl: 4 }, revocationStore: false }, /jwks\.ttl does not exist/],
    [{ jwks: { url: 'https://localhost', cooldown: 0 }, revocationStore: false }, /jwks\.cooldown/],
    [{ jwks: { url: 'https://localhost', refreshInterval: '2d' }, revocationStore: false }, /jwks\.refreshInterval/],
    [{ keys: [], revocationStore: false }, /keys is not a list/],
    [{ keys: [made.RS256.option], revocationStore: false }, /revocationStore has no method|userLookup has no method/],
    [{ secret: SECRET, keys: [key] }, /has no privateKey|userLookup/],
    [{ keys: [key], userLookup: lookupIn(makeUsers()) }, /has no privateKey/]
  ]
  for (const [options, message] of wrong) {
    await t.rejects(resourceServer(t, options as VerifyOnlyOptions), { ...INVALID, message }, JSON.stringify(options))
  }

  const { client } = await resourceServer(t, { jwks: { keys: [jwk] }, revocationStore: false })
  const issuing = await buildApp(t, { secret: undefined, keys: [made.RS256.option] })
  const { header, claims } = parse((await issuing.client.login()).access_token)
  t.equal((await client.get('/me', forgeBy('RS256', made.RS256.signs, header, claims))).statusCode, 200)
  const pem = made.RS256.publicKey?.export({ type: 'spki', format: 'pem' }) as string
  await refuses(t, client, [
    forgeBy('PS256', made.RS256.signs, { ...header, alg: 'PS256' }, claims), forge({ ...header, alg: 'HS256' }, claims, pem),
    `${segment({ ...header, alg: 'HS256' })}.${segment(claims)}.${createHmac('sha256', JSON.stringify(jwk)).update(`${segment({ ...header, alg: 'HS256' })}.${segment(claims)}`).digest('base64url')}`
  ])
})

import fc from 'fast-check'
import t from 'tap'
import { readHeader } from '../../lib/header-fields'
import { createKeyRing } from '../../lib/key-ring'
import { readKeys } from '../../lib/keys'
import { createTokens, MAX_TOKEN_LENGTH, refreshTokenId, type Tokens, type TokenSettings } from '../../lib/tokens'
import { reforge } from '../support/forge'
import type { Secret } from '../../types'

const NOW = 1_800_000_000
const SID = 'AAAAAAAAAAAAAAAAAAAAAA'
const SECRET = 'first-secret-of-the-tokens-test!!!!'
const settings: TokenSettings = {
  issuer: 'https://issuer.example',
  audience: ['api'],
  clockTolerance: 0,
  accessLifetime: 900
}

async function tokensOf (change: Partial<TokenSettings> = {}, ...secrets: Secret[]): Promise<Tokens> {
  const keys = readKeys({ secret: secrets.length === 0 ? SECRET : secrets }, true)
  return createTokens(createKeyRing({ ...keys, header: readHeader(undefined) }), { ...settings, ...change })
}

const access = { sub: 'alice', sid: SID, jti: 'one', iat: NOW, exp: NOW + 900, auth_time: NOW, gen: 0 }
const refresh = { sub: 'alice', sid: SID, jti: refreshTokenId(SID, 3), iat: NOW, exp: NOW + 9000, gen: 3 }

t.test('what is signed verifies, as its own kind only', async (t) => {
  const tokens = await tokensOf()
  const accessToken = tokens.access.sign({ ...access, fresh: true })
  const refreshToken = tokens.refresh.sign(refresh)
  t.match(tokens.access.verify(accessToken, NOW), { header: { alg: 'HS256', typ: 'at+jwt' }, claims: { sub: 'alice', fresh: true, aud: 'api', token_use: 'access' } })
  t.match(tokens.refresh.verify(refreshToken, NOW), { header: { alg: 'HS256', typ: 'rt+jwt' }, claims: { gen: 3, token_use: 'refresh' } })
  t.equal(tokens.access.verify(refreshToken, NOW), undefined)
  t.equal(tokens.refresh.verify(accessToken, NOW), undefined)
})

t.test('the same claims make the same refresh token', async (t) => {
  const tokens = await tokensOf()
  t.equal(tokens.refresh.sign(refresh), tokens.refresh.sign(refresh))
})

t.test('the first secret signs, all verify', async (t) => {
  const old = await tokensOf()
  const rotated = await tokensOf({}, Buffer.from('the-next-secret-of-the-tokens-test'), SECRET)
  const fresh = await tokensOf({}, 'the-next-secret-of-the-tokens-test')
  const [before, after] = [old.access.sign(access), rotated.access.sign(access)]
  t.ok(rotated.access.verify(before, NOW))
  t.ok(rotated.access.verify(after, NOW))
  t.ok(fresh.access.verify(after, NOW))
  t.equal(fresh.access.verify(before, NOW), undefined)
  t.equal(old.access.verify(after, NOW), undefined)
})

t.test('several audiences: one match suffices', async (t) => {
  const both = await tokensOf({ audience: ['api', 'web'] })
  t.same(both.access.verify(both.access.sign(access), NOW)?.claims.aud, ['api', 'web'])
  const api = await tokensOf()
  t.ok(api.access.verify(both.access.sign(access), NOW))
  t.equal((await tokensOf({ audience: ['ap'] })).access.verify(both.access.sign(access), NOW), undefined)
})

t.test('one claim that is missing, of another kind or out of bounds spoils a token that is rightly signed', async (t) => {
  const tokens = await tokensOf()
  const lax = await tokensOf({ clockTolerance: 60 })
  const good = {
    access: tokens.access.sign(access), refresh: tokens.refresh.sign(refresh), once: tokens.once.sign({ ...access, purpose: 'reset' })
  }
  const verify = (kind: keyof typeof good, claims: object, by = tokens) => by[kind].verify(reforge(good[kind], claims, {}, SECRET), NOW)
  const counts = [undefined, null, -1, 0.5, '1', NaN, 2 ** 53]

  const wrong: Record<keyof typeof good, Record<string, unknown[]>> = {
    access: {
      iss: [undefined, '', 'https://other.example', ['https://issuer.example']],
      aud: [undefined, null, '', 'ap', 'apis', 'web', [], ['web'], ['api', 1], [['api']], { 0: 'api' }],
      sub: [undefined, null, '', 1, ['alice']],
      sid: [undefined, null, '', 1, SID.slice(1), `${SID}A`, `${SID.slice(1)}=`, [SID]],
      jti: [undefined, null, '', 1],
      csrf: [null, 1, ['x']],
      gen: counts,
      iat: [...counts, NOW + 6],
      exp: [...counts, NOW + 901],
      nbf: [...counts.slice(1), NOW + 1],
      auth_time: counts,
      fresh: [null, false, 'true', 1],
      token_use: [undefined, 'refresh', 'once']
    },
    refresh: { jti: ['one', refreshTokenId(SID, 2), refreshTokenId(`${SID.slice(1)}B`, 3)], gen: [4], token_use: [undefined, 'access'] },
    once: { purpose: [undefined, null, 1, ['reset']], token_use: [undefined, 'access'] }
  }
  for (const [kind, claims] of Object.entries(wrong) as [keyof typeof good, Record<string, unknown[]>][]) {
    for (const [name, values] of Object.entries(claims)) {
      for (const value of values) t.equal(verify(kind, { [name]: value }), undefined, `${kind} ${name} ${JSON.stringify(value)}`)
    }
  }

  const right = {
    access: [{}, { aud: ['web', 'api'] }, { csrf: 'x' }, { csrf: '' }, { nbf: NOW }, { nbf: 0 }, { iat: NOW + 5 }, { iat: 0, exp: 900 }, { gen: 7 }, { fresh: true }, { auth_time: 0 }],
    refresh: [{}, { exp: NOW + 9_000_000 }],
    once: [{}, { purpose: '' }, { token_use: 'once' }]
  }
  for (const [kind, changes] of Object.entries(right) as [keyof typeof good, object[]][]) {
    for (const claims of changes) t.ok(verify(kind, claims), `${kind} ${JSON.stringify(claims)}`)
  }
  t.ok(verify('access', { iat: NOW + 60, nbf: NOW + 60, exp: NOW + 900 }, lax))
  t.equal(verify('access', { iat: NOW + 61 }, lax), undefined)
  t.equal(verify('access', { nbf: NOW + 61 }, lax), undefined)
})

t.test('what is verified is frozen to its depth', async (t) => {
  const tokens = await tokensOf()
  const verified = tokens.access.verify(tokens.access.sign({ ...access, ...{ org: { roles: ['a'] } } }), NOW)
  t.throws(() => { (verified as unknown as { claims: { org: { roles: string[] } } }).claims.org.roles.push('b') }, TypeError)
  t.throws(() => { (verified?.header as { alg: string }).alg = 'none' }, TypeError)
})

t.test('time: not before it is issued, by five seconds; expiry is told apart', async (t) => {
  const tokens = await tokensOf()
  const token = tokens.access.sign(access)
  t.ok(tokens.access.verify(token, NOW - 5))
  t.equal(tokens.access.verify(token, NOW - 5.001), undefined)
  t.ok(tokens.access.verify(token, NOW + 100_000))
  t.equal(tokens.isExpired(access, NOW + 899.999), false)
  t.equal(tokens.isExpired(access, NOW + 900), true)
  const lax = await tokensOf({ clockTolerance: 60 })
  t.ok(lax.access.verify(lax.access.sign(access), NOW - 60))
  t.equal(lax.isExpired(access, NOW + 959), false)
  t.equal(lax.isExpired(access, NOW + 960), true)
})

t.test('a token that is too long is neither made nor looked at', async (t) => {
  const tokens = await tokensOf()
  t.throws(() => tokens.access.sign({ ...access, sub: 'x'.repeat(MAX_TOKEN_LENGTH) }), { code: 'FST_JWT_SESSION_OPTION_INVALID', message: /: claims make a token/ })
  t.equal(tokens.access.verify(`a.${'b'.repeat(MAX_TOKEN_LENGTH)}.c`, NOW), undefined)

  const short = tokens.access.sign(access)
  const ofLength = (length: number) => {
    let sub = 'x'.repeat((length - short.length) / 4 * 3 - 4)
    while (reforge(short, { sub }, {}, SECRET).length < length) sub += 'x'
    return reforge(short, { sub }, {}, SECRET)
  }
  const [longest, longer] = [ofLength(MAX_TOKEN_LENGTH), ofLength(MAX_TOKEN_LENGTH + 1)]
  t.equal(longest.length, MAX_TOKEN_LENGTH)
  const { sub } = tokens.access.verify(longest, NOW)?.claims ?? {}
  t.equal(tokens.access.sign({ ...access, sub: sub as string }).length, MAX_TOKEN_LENGTH)
  t.ok(longer.length > MAX_TOKEN_LENGTH)
  t.equal(tokens.access.verify(longer, NOW), undefined, 'though it is rightly signed')
})

t.test('decode tells what a token says, and null for what is none', async (t) => {
  const tokens = await tokensOf()
  t.match(tokens.decode(tokens.access.sign(access)), { header: { typ: 'at+jwt' }, claims: { sub: 'alice' } })
  const other = await tokensOf({}, 'another-secret-of-the-tokens-test!!')
  t.match(tokens.decode(other.access.sign(access)), { claims: { sub: 'alice' } }, 'whoever signed it')
  for (const token of ['', 'x', 'a.b.c', 'x.e30.AA', 'e30.W10.AA', 'e30.bnVsbA.AA', 'e30.e30', 'e30.e30.AB', 'e30.e30.=', 'e30.e30..', 'e30.e30.AA.AA']) t.equal(tokens.decode(token), null, token)
})

t.test('a changed token is refused, wherever it is changed', async () => {
  const tokens = await tokensOf()
  const token = tokens.access.sign(access)
  fc.assert(fc.property(fc.nat(token.length - 1), fc.constantFrom(...'AQgw-_=+/. %abcXYZ019'), (at, letter) => {
    const changed = token.slice(0, at) + letter + token.slice(at + 1)
    return changed === token || tokens.access.verify(changed, NOW) === undefined
  }), { numRuns: 5000 })
  fc.assert(fc.property(fc.string(), (text) => tokens.access.verify(text, NOW) === undefined), { numRuns: 1000 })
})

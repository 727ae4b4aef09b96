import fc from 'fast-check'
import t from 'tap'
import { readHeader } from '../../lib/header-fields'
import { createKeyRing } from '../../lib/key-ring'
import { readKeys } from '../../lib/keys'
import { createTokens, MAX_TOKEN_LENGTH, refreshTokenId, type Tokens, type TokenSettings } from '../../lib/tokens'
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
  return createTokens(await createKeyRing({ ...keys, header: readHeader(undefined) }), { ...settings, ...change })
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
  t.throws(() => tokens.access.sign({ ...access, sub: 'x'.repeat(MAX_TOKEN_LENGTH) }), { code: 'FST_JWT_SESSION_OPTION_INVALID' })
  t.equal(tokens.access.verify(`a.${'b'.repeat(MAX_TOKEN_LENGTH)}.c`, NOW), undefined)
})

t.test('decode tells what a token says, and null for what is none', async (t) => {
  const tokens = await tokensOf()
  t.match(tokens.decode(tokens.access.sign(access)), { header: { typ: 'at+jwt' }, claims: { sub: 'alice' } })
  const other = await tokensOf({}, 'another-secret-of-the-tokens-test!!')
  t.match(tokens.decode(other.access.sign(access)), { claims: { sub: 'alice' } }, 'whoever signed it')
  for (const token of ['', 'x', 'a.b.c', 'e30.W10.AA', 'e30.bnVsbA.AA', 'e30.e30', 'e30.e30.AB', 'e30.e30.=', 'e30.e30..', 'e30.e30.AA.AA', undefined as never]) t.equal(tokens.decode(token), null, token)
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

t.test('looking at what is no token takes time in proportion to its length', async (t) => {
  const tokens = await tokensOf()
  /** The least of several rounds, in microseconds of this process: the machine may have more to do. */
  const cost = (length: number) => Math.min(...Array.from({ length: 15 }, () => {
    const token = `${'A'.repeat(length)}!`
    const start = process.cpuUsage()
    for (let round = 0; round < 3000; round++) tokens.access.verify(token, NOW)
    const { user, system } = process.cpuUsage(start)
    return user + system
  }))
  cost(8000)
  const [short, long] = [cost(1000), cost(8000)]
  // Eight times in proportion; sixty-four times were it the square.
  t.ok(long < Math.max(short, 1000) * 32, `${long / short}`)
})

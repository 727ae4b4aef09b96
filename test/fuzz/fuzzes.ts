import { isIPv6 } from 'node:net'
import fc from 'fast-check'
import { networkOf } from '../../lib/address'
import { compileRequirements } from '../../lib/claims'
import { isSessionError } from '../../lib/errors'
import { keysOfSet } from '../../lib/jwk-set'
import { readDuration } from '../../lib/option-values'
import { isSegment, parseSegment } from '../../lib/segments'
import { readTransport } from '../../lib/transport-options'
import { ODD } from '../support/forgeries'
import { bytesIn, claimsOf, isOwnRequest, networkIn, objectIn, tokensIn, valuesIn } from './reference'
import { authorizations, bodies, contentTypes, cookieHeaders, mutatedTokens, resignedTokens, siteHeaders } from './values'
import { PASSWORD, type Site, type World } from './world'
import type { GuardRequest } from '../../types'

const ACCESS = '__Host-access_token'
const REFRESH = '__Secure-refresh_token'
const HOST = 'localhost:80'

/** How a run of fast-check is told apart from others. */
export interface Run {
  readonly seed: number
  readonly numRuns: number
  readonly path?: string
}

/** A promise that holds for every value. */
export interface Fuzz {
  readonly name: string
  /** Of a hundred cases. */
  readonly share: number
  /** Rejects with seed, path and value of the first that it does not hold for. */
  readonly run: (run: Run) => Promise<void>
}

function fuzz<Value> (name: string, share: number, values: fc.Arbitrary<Value>, faults: (value: Value) => Promise<string[]> | string[]): Fuzz {
  return {
    name,
    share,
    run: async (run) => await fc.assert(fc.asyncProperty(values, async (value) => {
      const found = await faults(value)
      if (found.length > 0) throw new Error(found.join('; '))
    }), run)
  }
}

/** Any of the applications, with a value that is made for it. */
function atSome<Value> ({ sites }: World, valuesFor: (site: Site) => fc.Arbitrary<Value>): fc.Arbitrary<{ site: Site, value: Value }> {
  return fc.oneof(...sites.map((site) => valuesFor(site).map((value) => ({ site, value, toString: () => `${site.rules.algorithm} ${JSON.stringify(value)}` }))))
}

const unless = (holds: boolean, fault: string): string[] => holds ? [] : [fault]

/** What guards make of a request, and whether it is what they should. */
async function seenAs (site: Site, headers: Record<string, string>): Promise<string[]> {
  const tokens = tokensIn(headers, site.locations)
  const [token] = tokens
  const isSound = tokens.size === 1 && isLive(site, claimsOf(token as string, 'access', site.rules))
  const { answer, faults } = await site.ask({ url: '/me', headers }, token)
  const expected = tokens.size > 1 ? 400 : isSound ? 200 : 401
  return [...faults, ...unless(answer.status === expected, `${answer.status} instead of ${expected}`), ...unless(answer.status !== 200 || answer.body.includes('"user-alice"'), 'another user')]
}

/** Whether claims are of the session of all cases. */
function isLive ({ claims: own }: Site, claims: Record<string, unknown> | undefined): boolean {
  return claims !== undefined && claims.sid === own.sid && claims.sub === own.sub
}

const carried = ({ locations }: Site, token: string): Record<string, string> =>
  locations[0] === 'header' ? { authorization: `Bearer ${token}` } : { cookie: `${ACCESS}=${token}` }

const accessTokens = ({ tokens, corpus, signer }: Site): fc.Arbitrary<string> => mutatedTokens([tokens.access_token], corpus, signer)
const refreshTokens = ({ tokens, refreshCorpus, signer }: Site): fc.Arbitrary<string> => mutatedTokens([tokens.refresh_token], refreshCorpus, signer)

export function fuzzesOf (world: World): Fuzz[] {
  const [first] = world.sites as [Site]
  const cookies = world.sites.filter(({ locations }) => locations.includes('cookie'))
  return [
    fuzz('no text but an access token that was issued is taken for one', 16, atSome(world, accessTokens), async ({ site, value: token }) => {
      const headers = carried(site, token)
      const shown = tokensIn(headers, site.locations)
      const isIssued = shown.has(site.tokens.access_token)
      return [...unless(isIssued || ![...shown].some((one) => isLive(site, claimsOf(one, 'access', site.rules))), 'the list of forgeries holds none that is sound'), ...await seenAs(site, headers)]
    }),

    fuzz('of what is rightly signed, only sound claims of a live session are accepted, and all of them', 12,
      atSome(world, ({ tokens, signer, rules }) => resignedTokens(tokens.access_token, signer, rules.now)), async ({ site, value }) => await seenAs(site, carried(site, value))),

    fuzz('no Authorization and no Cookie gets in without one token in its place', 14, atSome(world, (site) => {
      const tokens = fc.oneof({ weight: 2, arbitrary: fc.constant(site.tokens.access_token) }, { weight: 1, arbitrary: accessTokens(site) }, { weight: 1, arbitrary: fc.constant(site.tokens.refresh_token) })
      return fc.record({ authorization: authorizations(tokens), cookie: cookieHeaders([ACCESS, REFRESH], tokens) }, { requiredKeys: [] })
    }), async ({ site, value }) => await seenAs(site, value)),

    fuzz('no request of another site changes anything by a cookie', 6,
      fc.constantFrom(...cookies).chain((site) => siteHeaders(HOST, String(site.tokens.csrf_token)).map((value) => ({ site, value, toString: () => JSON.stringify(value) }))), async ({ site, value }) => {
        const { answer, faults } = await site.ask({ method: 'POST', url: '/me', headers: { ...value, cookie: `${ACCESS}=${site.tokens.access_token}` } })
        const expected = isOwnRequest(value, HOST, String(site.tokens.csrf_token)) ? 200 : 403
        return [...faults, ...unless(answer.status === expected, `${answer.status} instead of ${expected}`)]
      }),

    fuzz('no text but a refresh token that was issued refreshes, and none ends its session', 12, atSome(world, (site) => fc.tuple(refreshTokens(site), fc.boolean())), async ({ site, value: [token, isInBody] }) => {
      const cookie = `${REFRESH}=${token}`
      const byCookie = site.locations.includes('cookie') && !isInBody
      if (byCookie ? valuesIn(cookie, REFRESH).has(site.tokens.refresh_token) : token === site.tokens.refresh_token) return []
      const { answer, faults } = await site.ask(byCookie ? { method: 'POST', url: '/refresh', headers: { 'sec-fetch-site': 'same-origin', cookie } } : { method: 'POST', url: '/refresh', payload: { refresh_token: token } }, token)
      return [...faults, ...unless([400, 401, 413].includes(answer.status), `${answer.status}`), ...await isGood(site)]
    }),

    fuzz('a rightly signed refresh token whose claims are not sound does nothing', 4,
      atSome(world, ({ tokens, signer, rules }) => resignedTokens(tokens.refresh_token, signer, rules.now)), async ({ site, value: token }) => {
        // The session of all cases is not to be renewed.
        if (isLive(site, claimsOf(token, 'refresh', site.rules))) return []
        const { answer, faults } = await site.ask({ method: 'POST', url: '/refresh', payload: { refresh_token: token } }, token)
        return [...faults, ...unless([400, 401, 413].includes(answer.status), `${answer.status}`), ...await isGood(site)]
      }),

    ...(['/login', '/refresh', '/logout', '/register'] as const).map((url) => fuzz(`no body gets more out of ${url} than it should`, 5,
      fc.tuple(bodies(soundBody(url, first)), contentTypes), async ([payload, type]) => {
        const { username, password, refresh_token: token } = membersOf(payload)
        const isRight = url === '/login' ? username === 'bob' && password === PASSWORD : token === first.tokens.refresh_token
        // It would end the session of all cases.
        if (isRight && (url === '/refresh' || url === '/logout')) return []
        const { answer, faults } = await first.ask({ method: 'POST', url, payload, headers: type === '' ? {} : { 'content-type': type } })
        const isLogin = url === '/login' && isRight
        const isWhole = url === '/refresh' || url === '/logout' || (isText(username, 256) && isText(password, 1024))
        const isPlain = type === 'application/json' && !/__proto__|constructor/.test(payload.toString())
        return [...faults, ...unless(answer.status >= 400 || isLogin, `${answer.status}`), ...unless(isWhole || [400, 413, 415].includes(answer.status), `${answer.status} for what is no login`), ...unless(answer.status === 200 || !isLogin || !isPlain, `${answer.status} for the right password`)]
      })),

    fuzz('nobody ends a session of others by its name', 3, atSome(world, () => fc.oneof(fc.string({ unit: 'binary', maxLength: 30 }), fc.constantFrom('..', '.', '__proto__', '*', '%2e', 'constructor'))), async ({ site, value }) => {
      const url = `/sessions/${safely(() => encodeURIComponent(value)) ?? 'x'}`
      const { answer, faults } = await site.ask({ method: 'DELETE', url, headers: { ...carried(site, site.tokens.access_token), 'sec-fetch-site': 'same-origin' } })
      return [...faults, ...unless([400, 404, 414].includes(answer.status), `${answer.status}`)]
    }),

    fuzz('no spelling of a path is served without a token', 3, fc.tuple(fc.array(fc.constantFrom('/', '/', 'me', 'admin', 'sessions', '%6De', '..', '.', '%2f', '%00', ';', '?', '#', 'ME', '//', '\\', '%', 'x', '*'), { minLength: 1, maxLength: 6 }), fc.constantFrom('GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS', 'PUT')), async ([parts, method]) => {
      const url = `/${parts.join('')}`
      // What is no URL cannot be sent from within the process.
      if (!URL.canParse(url, 'http://localhost')) return []
      const { answer, faults } = await first.ask({ method: method as 'GET', url })
      return [...(method === 'HEAD' ? [] : faults), ...unless(answer.status >= 400, `${answer.status}`)]
    }),

    fuzz('what is refused is never remembered, and pushes nothing out', 4, fc.oneof(accessTokens(first), resignedTokens(first.tokens.access_token, first.signer, first.rules.now)), (token) => {
      const { kind, asked } = world.memory
      // Whether its session is live, and whether it has expired, is not for the memory to say.
      if (claimsOf(token, 'access', first.rules) !== undefined) return []
      const before = asked()
      const verdicts = [1, 2].map(() => kind.verify(token, first.rules.now))
      const between = asked()
      const good = kind.verify(first.tokens.access_token, first.rules.now)
      return [
        ...unless(verdicts.every((verdict) => verdict === undefined || verdict.claims.exp <= first.rules.now), 'verified'), ...unless(between - before === 2, 'not looked at again'), ...unless(asked() === between && good !== undefined, 'a good one was pushed out')
      ]
    }),

    fuzz('a segment is base64url in its one spelling, and an object in UTF-8', 2, fc.oneof(fc.string({ unit: fc.constantFrom(...'eyJ0-_A9=+/. \n'), maxLength: 12 }), fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('base64url')), fc.json({ maxDepth: 2 }).map((text) => Buffer.from(text).toString('base64url'))), (text) =>
      [...unless(isSegment(text) === (bytesIn(text) !== undefined), 'spelling'), ...unless(JSON.stringify(parseSegment(text)) === JSON.stringify(objectIn(text)), 'object')]),

    fuzz('a duration is digits and a unit', 1, fc.tuple(fc.oneof(fc.tuple(fc.nat(), fc.constantFrom('ms', 's', 'm', 'h', 'd', 'w', 'y', '', 'S', ' s', 'min')).map((parts) => parts.join('')), fc.string({ maxLength: 8 }), fc.double(), fc.anything())), ([value]) => {
      const seconds = attempt(() => readDuration('name', value as never, '1s', '1y'))
      const isSound = (typeof value === 'number' && value >= 1 && value <= 31_536_000) || (typeof value === 'string' && /^\d{1,9}(?:ms|[smhdwy])$/.test(value) && !value.endsWith('\n'))
      return unless(seconds === REFUSED || (isSound && Number(seconds) >= 1 && Number(seconds) <= 31_536_000), `${String(seconds)}`)
    }),

    fuzz('an address stands for its network', 1, fc.oneof(fc.ipV6(), fc.tuple(fc.constantFrom('::ffff:', '64:ff9b::', '64:ff9b:1::', '::'), fc.ipV4()).map((parts) => parts.join('')), fc.string({ unit: fc.constantFrom(...':.0123456789abcdef%'), maxLength: 20 })), (address) =>
      unless(networkOf(address) === (isIPv6(address) && !address.includes('%') ? networkIn(address) : networkOf(address)), networkOf(address))),

    fuzz('a value of Authorization or Cookie is read as it stands, or refused', 1, fc.tuple(authorizations(fc.constantFrom('x', 'a.b.c', '')), cookieHeaders([ACCESS, REFRESH], fc.constantFrom('x', 'a.b.c', ''))), ([authorization, cookie]) => {
      const request = { headers: { authorization, cookie }, raw: { rawHeaders: [] } } as unknown as GuardRequest
      return (['header', 'cookie'] as const).flatMap((location) => {
        const [token, more] = tokensIn({ authorization, cookie }, [location])
        const found = attempt(() => TRANSPORT.find[location](request))
        return unless(found === (more === undefined ? token : REFUSED), `${location}: ${String(found)}`)
      })
    }),

    fuzz('claims and key sets of any form are looked at without harm', 1, fc.tuple(fc.oneof(fc.constantFrom(...ODD), fc.jsonValue(), fc.object()), fc.anything()), async ([value, set]) => {
      const isAdmin = value === 'admin' || (Array.isArray(value) && value.includes('admin'))
      return [...unless(await REQUIREMENT({ roles: value }) === isAdmin, 'requirement'), ...unless(attempt(() => keysOfSet({ keys: [set] })) === REFUSED && attempt(() => keysOfSet(set)) === REFUSED, 'key set')]
    })
  ]
}

const TRANSPORT = readTransport({ locations: ['header', 'cookie'] }, ['/refresh'])
const REQUIREMENT = compileRequirements({ roles: 'admin' })
const REFUSED = Symbol('refused')

/** What a call answers; REFUSED when it throws an error of the plugin. */
function attempt<T> (call: () => T): T | typeof REFUSED {
  try {
    return call()
  } catch (error) {
    if (isSessionError(error)) return REFUSED
    throw error
  }
}

function safely<T> (call: () => T): T | undefined {
  try {
    return call()
  } catch {
    return undefined
  }
}

async function isGood (site: Site): Promise<string[]> {
  const { answer, faults } = await site.ask({ url: '/me', headers: carried(site, site.tokens.access_token) })
  return [...faults, ...unless(answer.status === 200, 'the good token is dead')]
}

function soundBody (url: '/login' | '/refresh' | '/logout' | '/register', { tokens }: Site): string {
  return JSON.stringify(url === '/login' || url === '/register' ? { username: 'bob', password: PASSWORD } : { refresh_token: tokens.refresh_token })
}

/** Whether something can be a name or a password. */
function isText (value: unknown, most: number): boolean {
  return typeof value === 'string' && value !== '' && !value.includes('\0') && value.length <= most
}

/** What a body says, to whom reads it as JSON. */
function membersOf (body: string | Buffer): Record<string, unknown> {
  const value: unknown = safely(() => JSON.parse(body.toString().replace(/^\uFEFF/, '')))
  return typeof value === 'object' && value !== null ? value as Record<string, unknown> : {}
}

import fc from 'fast-check'
import { forgeBy, parse, seal, segment } from '../support/forge'
import { BASE64URL, ODD, type Signer } from '../support/forgeries'

const NAMES = ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'sid', 'gen', 'auth_time', 'token_use', 'fresh', 'csrf']
const HEADER_NAMES = ['alg', 'typ', 'kid', 'crit', 'b64', 'jwk', 'jku', 'x5c', 'zip', 'cty', 'enc', 'x']
const STRANGE_NAMES = ['__proto__', 'constructor', 'prototype', 'then', 'toJSON', 'toString', 'valueOf', 'length', 'roles', 'SUB', '']

const letter = fc.oneof(fc.constantFrom(...BASE64URL, '.', '=', '+', '/', ' ', '%', '"', ',', ';'), fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 1 }), fc.constantFrom('é', '\u00a0', '\uFEFF', '\u{1f511}'))

type Change = (text: string) => string

/** A place in a text, whatever its length. */
const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const at = (text: string, where: number): number => Math.floor(text.length * where)

/** One change of a token, which may be none. @param others tokens to splice with. */
function changes (others: readonly string[]): fc.Arbitrary<Change> {
  const other = fc.constantFrom(...others)
  return fc.oneof<fc.Arbitrary<Change>[]>(
    fc.tuple(place, letter).map(([where, text]) => (token) => token.slice(0, at(token, where)) + text + token.slice(at(token, where) + 1)),
    fc.tuple(place, letter).map(([where, text]) => (token) => token.slice(0, at(token, where)) + text + token.slice(at(token, where))),
    fc.tuple(place, fc.integer({ min: 1, max: 60 })).map(([where, length]) => (token) => token.slice(0, at(token, where)) + token.slice(at(token, where) + length)),
    fc.tuple(place, place).map(([from, to]) => (token) => token + token.slice(at(token, Math.min(from, to)), at(token, Math.max(from, to)) + 1)),
    fc.tuple(fc.nat({ max: 2 }), place, fc.nat({ max: 7 })).map(([index, where, bit]) => (token) => {
      const parts = token.split('.')
      const bytes = Buffer.from(parts[index] ?? '', 'base64url')
      if (bytes.length === 0) return token
      const spot = Math.floor(bytes.length * where)
      bytes[spot] = (bytes[spot] as number) ^ (1 << bit)
      parts[index] = bytes.toString('base64url')
      return parts.join('.')
    }),
    fc.tuple(fc.array(fc.nat({ max: 2 }), { maxLength: 5 }), other).map(([order, second]) => (token) => order.map((index, turn) => (turn % 2 === 0 ? token : second).split('.')[index] ?? '').join('.')),
    fc.tuple(fc.nat({ max: 2 }), other).map(([index, second]) => (token) => token.split('.').map((part, turn) => turn === index ? second.split('.')[index] ?? '' : part).join('.')),
    fc.tuple(other, place).map(([second, where]) => (token) => token.slice(0, at(token, where)) + second.slice(at(second, where))),
    fc.constantFrom<Change[]>(
      (token) => token.toUpperCase(), (token) => token.toLowerCase(), (token) => `${token}=`, (token) => ` ${token}`, (token) => `${token} `, (token) => `"${token}"`, (token) => `${token}.`, (token) => `.${token}`,
      (token) => token.replaceAll('-', '+').replaceAll('_', '/'), (token) => `${token}%3D`, (token) => Array.from(token).reverse().join(''), (token) => token.replace(/[^.]*$/, ''), (token) => token.split('.', 2).join('.')
    )
  )
}

const KEYS = ['', '\0', 'secret', 'k7QmT2vX9dLr4WzB8nHc3YpJ6sFg1AeU', Buffer.alloc(32), Buffer.alloc(64)]

/** What may pass for a token to somebody careless: changed a few times, from a list of forgeries, signed with wrong keys, or no token at all. */
export function mutatedTokens (tokens: readonly string[], corpus: readonly string[], { algorithm }: Signer): fc.Arbitrary<string> {
  const base = fc.constantFrom(...tokens)
  const change = changes([...tokens, ...corpus.slice(0, 20)])
  const json = fc.oneof(fc.json({ maxDepth: 2 }), fc.constantFrom(...tokens).map((token) => JSON.stringify(parse(token).claims)))
  return fc.oneof(
    { weight: 6, arbitrary: fc.tuple(base, fc.array(change, { minLength: 1, maxLength: 3 })).map(([token, list]) => list.reduce((text, one) => one(text), token)) },
    { weight: 2, arbitrary: fc.constantFrom(...corpus) },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...corpus), change).map(([token, one]) => one(token)) },
    { weight: 2, arbitrary: fc.tuple(base, json, fc.constantFrom(...KEYS), fc.constantFrom(algorithm, 'HS256', 'none'), fc.boolean()).map(([token, text, key, alg, isWhole]) => forged(token, isWhole ? text : undefined, key, alg)) },
    { weight: 1, arbitrary: fc.oneof(fc.string({ unit: 'binary-ascii', maxLength: 200 }), fc.string({ unit: fc.constantFrom('.', 'e', '3', '0', 'A', '='), maxLength: 200 }), fc.string({ unit: 'binary', maxLength: 40 })) }
  )
}

function forged (token: string, payload: string | undefined, key: string | Buffer, alg: string): string {
  const { header, claims } = parse(token)
  return seal(segment({ ...header, alg }), segment(payload ?? claims), key)
}

/** Text of JSON that nobody expects in a place. */
const oddJson = fc.oneof(
  fc.constantFrom(...ODD.map((value) => JSON.stringify(value))),
  fc.json({ maxDepth: 2 }),
  fc.constantFrom('1e999', '-1e999', '1e300', '-0', '0', '1', '-1', '0.5', '9007199254740991', '9007199254740992', '"1"', '[1]', 'true', 'null', '"access"', '"refresh"', '"fastify-jwt-session"', '["fastify-jwt-session"]', '["x","fastify-jwt-session"]', '["fastify-jwt-session",1]', '"user-bob"', '"user-alice"')
)

type Edit = (members: [string, string][], now: number) => [string, string][]

/** One change of the text of an object. */
function edits (names: readonly string[]): fc.Arbitrary<Edit> {
  const name = fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...names) }, { weight: 1, arbitrary: fc.constantFrom(...STRANGE_NAMES) }, { weight: 1, arbitrary: fc.string({ maxLength: 6 }) })
  const offset = fc.oneof(fc.integer({ min: -1000, max: 1000 }), fc.constantFrom(-1, 0, 1, 4, 5, 6, 899, 900, 901))
  return fc.oneof<fc.Arbitrary<Edit>[]>(
    fc.tuple(name, oddJson).map(([one, json]) => (members) => [...members.filter(([other]) => other !== one), [one, json]]),
    fc.tuple(fc.constantFrom('exp', 'nbf', 'iat', 'auth_time'), offset).map(([one, shift]) => (members, now) => [...members.filter(([other]) => other !== one), [one, String(Math.floor(now) + shift)]]),
    name.map((one) => (members) => members.filter(([other]) => other !== one)),
    // Of duplicates the last one counts.
    fc.tuple(name, oddJson, fc.boolean()).map(([one, json, isFirst]) => (members) => isFirst ? [[one, json], ...members] : [...members, [one, json]]),
    fc.constantFrom<Edit[]>((members) => [...members].reverse(), (members) => [...members, ...members], (members) => members)
  )
}

/** Tokens whose signature is right, over a header and claims that were changed. */
export function resignedTokens (token: string, { algorithm, signs }: Signer, now: number): fc.Arbitrary<string> {
  const { header, claims } = parse(token)
  const membersOf = (object: object): [string, string][] => Object.entries(object).map(([name, value]) => [name, JSON.stringify(value)])
  const textOf = (members: [string, string][], separator: string): string => `{${members.map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(separator)}}`
  const edited = (object: object, names: readonly string[], maxLength: number): fc.Arbitrary<string> =>
    fc.tuple(fc.array(edits(names), { maxLength }), fc.constantFrom(',', ' , ', ',\n')).map(([list, separator]) => textOf(list.reduce((members, one) => one(members, now), membersOf(object)), separator))
  const head = fc.oneof({ weight: 4, arbitrary: fc.constant(JSON.stringify(header)) }, { weight: 1, arbitrary: edited(header, HEADER_NAMES, 2) })
  return fc.tuple(head, edited(claims, NAMES, 3)).map(([one, other]) => forgeBy(algorithm, signs, one, other))
}

/** Bodies: JSON of any kind, with the members that routes know, and the text of a sound one with a change. */
export function bodies (sound: string): fc.Arbitrary<string | Buffer> {
  const names = fc.constantFrom('username', 'password', 'refresh_token', 'everywhere', '__proto__', 'constructor', 'x')
  const values = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom<unknown[]>('bob', 'alice', 'builder-of-bridges', true, false, ...Object.values(JSON.parse(sound) as object)))
  const words = fc.oneof(fc.constantFrom<unknown[]>('bob', 'alice', 'builder-of-bridges', '', 'x\0', 'x'.repeat(257), 'x'.repeat(1025)), fc.string({ unit: 'binary', maxLength: 20 }), fc.jsonValue({ maxDepth: 1 }))
  return fc.oneof(
    { weight: 3, arbitrary: fc.tuple(place, fc.string({ maxLength: 3 }), fc.nat({ max: 2 })).map(([where, text, length]) => sound.slice(0, at(sound, where)) + text + sound.slice(at(sound, where) + length)) },
    { weight: 3, arbitrary: fc.array(fc.tuple(names, values), { maxLength: 5 }).map((members) => `{${members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join()}}`) },
    { weight: 3, arbitrary: fc.record({ username: words, password: words, refresh_token: words }, { requiredKeys: ['username', 'password'] }).map((value) => JSON.stringify(value)) },
    { weight: 1, arbitrary: fc.json({ maxDepth: 3 }) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 80 }) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)) },
    { weight: 1, arbitrary: fc.tuple(place, fc.nat({ max: 255 })).map(([where, byte]) => { const bytes = Buffer.from(sound); bytes[at(sound, where)] = byte; return bytes }) },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom('[', '{"a":', '[[', '{"x":['), fc.nat({ max: 6000 })).map(([open, depth]) => open.repeat(depth)) },
    { weight: 1, arbitrary: fc.constant(sound) }
  )
}

/** What bodies are labelled as. */
export const contentTypes: fc.Arbitrary<string> = fc.oneof(
  { weight: 8, arbitrary: fc.constant('application/json') },
  { weight: 1, arbitrary: fc.constantFrom('', 'text/plain', 'application/json; charset=x', 'application/json;;', 'APPLICATION/JSON', 'application/json, text/plain', 'x', 'application/x-www-form-urlencoded', 'application/jsonx', '__proto__') },
  { weight: 1, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 20 }) }
)

/** Values of Authorization. */
export function authorizations (tokens: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const scheme = fc.constantFrom('Bearer', 'bearer', 'BEARER', 'bEaReR', 'Bearer', 'Basic', 'Token', 'DPoP', '"Bearer"', '', 'Bear', 'Bearers')
  const gap = fc.constantFrom(' ', ' ', ' ', '', '  ', '\t', ',', '=', ':', '\u00a0')
  return fc.oneof(
    { weight: 4, arbitrary: fc.tuple(scheme, gap, tokens, fc.constantFrom('', '', '', ' ', ',', ' x', ', Bearer x')).map((parts) => parts.join('')) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 60 }) }
  )
}

/** Cookie headers around some tokens. */
export function cookieHeaders (names: readonly string[], tokens: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const name = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...names) }, { weight: 1, arbitrary: fc.constantFrom('a', '__Host-', '$Path', '__proto__', ' __Host-access_token', '\u00a0__Host-access_token', '__host-access_token', '__Host-access_token ') })
  const pair = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(name, fc.constantFrom('=', '=', '=', '', ' =', '==', '= '), fc.oneof({ weight: 3, arbitrary: tokens }, { weight: 1, arbitrary: fc.constantFrom('', 'x', '%', '%E0%A4%A', '"') })).map((parts) => parts.join('')) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 12 }) }
  )
  return fc.tuple(fc.array(pair, { minLength: 1, maxLength: 4 }), fc.constantFrom('; ', '; ', ';', ';  ', ' ; ', ', ', ';;')).map(([pairs, separator]) => pairs.join(separator))
}

/** What browsers say of a request, and what others say in their place. */
export function siteHeaders (host: string, csrf: string): fc.Arbitrary<Record<string, string>> {
  const name = host.replace(/:\d+$/, '')
  const origins = [host, name, `${name}:443`, `${name}:8080`, `${host}.evil.example`, `evil.example@${host}`, `${host}@evil.example`, `x${host}`, 'evil.example', `${host}/`]
    .flatMap((place) => ['http', 'https', 'HTTP', 'ws', 'file'].map((scheme) => `${scheme}://${place}`))
  return fc.record({
    'sec-fetch-site': fc.oneof(fc.constantFrom('same-origin', 'none', 'cross-site', 'same-site', '', 'SAME-ORIGIN', 'same-origin, cross-site'), fc.string({ unit: 'binary-ascii', maxLength: 8 })),
    origin: fc.oneof(fc.constantFrom('null', '', '*', ...origins), fc.webUrl()),
    'x-csrf-token': fc.oneof(fc.constantFrom(csrf, '', `${csrf}x`, csrf.slice(1), csrf.toLowerCase(), 'x'), fc.string({ unit: 'binary-ascii', maxLength: 24 }))
  }, { requiredKeys: [] })
}

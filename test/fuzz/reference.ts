import { createHmac, verify, type KeyObject } from 'node:crypto'

/** What the plugin does with strings from outside, written once more from README and the standards: short, slow, and without a line of lib. */

/** What a token has to say, and what signs it. */
export interface Rules {
  readonly algorithm: 'HS256' | 'ES256' | 'EdDSA'
  /** A secret, or a public key. */
  readonly key: KeyObject
  readonly kid: string
  readonly now: number
}

type Members = Record<string, unknown>

/** What a token says, if it is an access token or a refresh token that is signed, sound and not expired. */
export function claimsOf (token: string, use: 'access' | 'refresh', { algorithm, key, kid, now }: Rules): Members | undefined {
  const [head = '', body = '', signature = '', ...more] = token.split('.')
  const [header, claims] = [objectIn(head), objectIn(body)]
  if (header === undefined || claims === undefined || more.length > 0 || token.length > 8192 || bytesIn(signature) === undefined) return undefined
  const { alg, typ, kid: named, ...rest } = header
  if (alg !== algorithm || typ !== { access: 'at+jwt', refresh: 'rt+jwt' }[use] || named !== kid || Object.keys(rest).length > 0) return undefined
  if (!isSigned(`${head}.${body}`, bytesIn(signature) as Buffer, algorithm, key)) return undefined

  const { iss, aud, sub, sid, jti, gen, iat, exp, csrf, nbf, auth_time: authTime, fresh, token_use: claimed } = claims
  const audience = Array.isArray(aud) ? aud : [aud]
  const isSound = claimed === use && iss === NAME && audience.includes(NAME) && audience.every((one) => typeof one === 'string') &&
    typeof sub === 'string' && sub !== '' && typeof sid === 'string' && /^[A-Za-z0-9_-]{22}$/.test(sid) && !sid.endsWith('\n') && typeof jti === 'string' && jti !== '' &&
    [gen, iat, exp].every(isCount) && (csrf === undefined || typeof csrf === 'string') &&
    Number(iat) <= now + 5 && (!Object.hasOwn(claims, 'nbf') || (isCount(nbf) && Number(nbf) <= now)) && Number(exp) > now
  if (!isSound) return undefined
  const isOfItsKind = use === 'refresh'
    ? jti === `${sid}.${String(gen)}`
    : isCount(authTime) && (fresh === undefined || fresh === true) && Number(exp) - Number(iat) <= 900
  return isOfItsKind ? claims : undefined
}

const NAME = 'fastify-jwt-session'

function isCount (value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= 2 ** 53 - 1 && Math.floor(value) === value
}

function isSigned (input: string, signature: Buffer, algorithm: Rules['algorithm'], key: KeyObject): boolean {
  if (algorithm === 'HS256') return createHmac('sha256', key).update(input).digest().equals(signature)
  if (algorithm === 'EdDSA') return signature.length === 64 && verify(null, Buffer.from(input), key, signature)
  return signature.length === 64 && verify('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }, signature)
}

/** The bytes of base64url in its one spelling. */
export function bytesIn (segment: string): Buffer | undefined {
  const bytes = Buffer.from(segment, 'base64url')
  return bytes.toString('base64url') === segment ? bytes : undefined
}

/** The object in a segment of a token. */
export function objectIn (segment: string): Members | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytesIn(segment) as Buffer))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Members : undefined
  } catch {
    return undefined
  }
}

/** The tokens that a request shows, as a set: two of them contradict each other. */
export function tokensIn ({ authorization, cookie }: { authorization?: string, cookie?: string }, locations: readonly string[]): Set<string> {
  const found = new Set<string>()
  if (locations.includes('header') && authorization !== undefined && authorization.slice(0, 6).toLowerCase() === 'bearer') {
    found.add(authorization[6] === ' ' ? authorization.slice(7) : '')
  }
  const values = locations.includes('cookie') && cookie !== undefined ? valuesIn(cookie, '__Host-access_token') : new Set<string>()
  // An empty cookie is one that was cleared, unless it contradicts another.
  if (values.size > 1 || !values.has('')) for (const value of values) found.add(value)
  return found
}

/** The values of the cookies of a name. */
export function valuesIn (header: string, name: string): Set<string> {
  const pairs = header.split(';').map((pair, index) => index > 0 && pair.startsWith(' ') ? pair.slice(1) : pair)
  return new Set(pairs.filter((pair) => pair.startsWith(`${name}=`)).map((pair) => pair.slice(name.length + 1)))
}

/** Whether a request with a cookie that changes something was made by a page of the application, served as `host` over HTTP. */
export function isOwnRequest (headers: Readonly<Record<string, string>>, host: string, csrf: string): boolean {
  const { 'sec-fetch-site': site, origin, 'x-csrf-token': repeated } = headers
  if (repeated !== undefined && repeated !== csrf) return false
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  if (origin === undefined) return repeated === csrf
  const name = host.replace(/:80$/, '')
  return origin === `http://${host}` || origin === `https://${host}` || (host.endsWith(':80') && origin === `http://${name}`) || (host.endsWith(':443') && origin === `https://${name}`)
}

/** What the first 64 bits of an IPv6 address are, or the IPv4 address that it stands for, by the URL parser. */
export function networkIn (address: string): string {
  const halves = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::').map((half) => half.split(':').filter((group) => group !== ''))
  const [head, tail = []] = halves as [string[], string[]?]
  const groups = [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => '0'), ...tail]
  if (!['0:0:0:0:0:ffff', '64:ff9b:0:0:0:0'].includes(groups.slice(0, 6).join(':'))) return groups.slice(0, 4).join(':')
  return groups.slice(6).map((group) => Number.parseInt(group, 16)).flatMap((number) => [Math.floor(number / 256), number % 256]).join('.')
}

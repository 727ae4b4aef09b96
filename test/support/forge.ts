import { constants, createHmac, sign, type KeyObject } from 'node:crypto'
import { SECRET } from './app'

/** A token taken apart. */
export interface Parsed {
  header: Record<string, unknown>
  claims: Record<string, unknown>
  /** The three segments as they stand. */
  parts: [header: string, payload: string, signature: string]
}

export type Hash = 'sha256' | 'sha384' | 'sha512'

/** A segment of a token: text and bytes as they are, anything else as JSON. */
export function segment (value: unknown): string {
  const isRaw = typeof value === 'string' || Buffer.isBuffer(value)
  return Buffer.from(isRaw ? value as string : JSON.stringify(value)).toString('base64url')
}

/** The MAC of the first two segments, in base64url. */
export function mac (input: string, secret: string | Buffer = SECRET, hash: Hash = 'sha256'): string {
  return createHmac(hash, secret).update(input).digest('base64url')
}

/** Signs any two segments, however they came to be. */
export function seal (head: string, payload: string, secret?: string | Buffer, hash?: Hash): string {
  return `${head}.${payload}.${mac(`${head}.${payload}`, secret, hash)}`
}

/** A token of any header and any payload, rightly signed with the secret of the tests unless told otherwise. */
export function forge (header: unknown, payload: unknown, secret?: string | Buffer, hash?: Hash): string {
  return seal(segment(header), segment(payload), secret, hash)
}

export function parse (token: string): Parsed {
  const parts = token.split('.') as Parsed['parts']
  const [header, claims] = parts.slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()))
  return { header, claims, parts }
}

/** The same token with other claims or another header, rightly signed; `undefined` removes a member. */
export function reforge (token: string, claims: object, header: object = {}, secret?: string | Buffer, hash?: Hash): string {
  const parsed = parse(token)
  return forge({ ...parsed.header, ...header }, { ...parsed.claims, ...claims }, secret, hash)
}

/** The JSON of an object with one member written as `json` says, which may be what JSON.stringify never writes. */
export function withMember (object: object, name: string, json: string): string {
  const others = Object.entries(object).filter(([other]) => other !== name)
  const members = others.map(([other, value]) => `${JSON.stringify(other)}:${JSON.stringify(value)}`)
  return `{${[...members, `${JSON.stringify(name)}:${json}`].join(',')}}`
}

/** How each algorithm signs, written once more, without the library that signs in lib (RFC 7518 section 3, RFC 8037). */
const SIGNERS: Readonly<Record<string, (input: Buffer, key: KeyObject) => Buffer>> = {
  HS256: (input, key) => createHmac('sha256', key).update(input).digest(),
  HS384: (input, key) => createHmac('sha384', key).update(input).digest(),
  HS512: (input, key) => createHmac('sha512', key).update(input).digest(),
  RS256: (input, key) => sign('sha256', input, key),
  PS256: (input, key) => sign('sha256', input, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
  ES256: (input, key) => sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' }),
  EdDSA: (input, key) => sign(null, input, key)
}

/** A token of any header and any payload, signed by any algorithm with any key that it takes. */
export function forgeBy (algorithm: string, key: KeyObject, header: unknown, payload: unknown): string {
  return forgeOver(`${segment(header)}.${segment(payload)}`, algorithm, key)
}

/** The same for any text. */
export function forgeOver (input: string, algorithm: string, key: KeyObject): string {
  return `${input}.${SIGNERS[algorithm]?.(Buffer.from(input), key).toString('base64url')}`
}

import { ifError } from 'node:assert'
import { constants, createHmac, createPublicKey, createSecretKey, timingSafeEqual, verify, type SigningOptions } from 'node:crypto'
import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'
import type { CheckedKey } from './keys'
import type { KeyAlgorithm } from '../types'

/** The kinds of tokens, by the `typ` of their headers. */
export const TOKEN_TYPES = ['at+jwt', 'rt+jwt', 'ot+jwt'] as const

export type TokenType = typeof TOKEN_TYPES[number]

export type Header = Readonly<Record<string, unknown>>

/** @param extra further members of the header, for this token only. It costs a signer of its own. */
type Sign = (type: TokenType, claims: object, extra?: Header) => string

/** One key at work. */
export interface Engine {
  readonly key: CheckedKey
  /** The header of every token of a type that this key signs, but for members that are given one by one. */
  readonly headers: Readonly<Record<TokenType, Header & { readonly alg: KeyAlgorithm }>>
  /** Undefined for a key that only verifies. */
  readonly sign: Sign | undefined
  /** Whether a text has this signature, by this key and its one algorithm, whatever the text says of itself. No text and no signature makes it throw. */
  isSigned (text: string, signature: Buffer): boolean
}

interface Jwt {
  sign (claims: object, options?: object): string
}

/** How a public key is used (RFC 7518 sections 3.3 to 3.5, RFC 8037 section 3.1). `null`: the algorithm brings its own hash. */
interface Scheme extends SigningOptions { readonly hash: 'sha256' | null }

const SCHEMES: Readonly<Record<Exclude<KeyAlgorithm, `HS${string}`>, Scheme>> = {
  RS256: { hash: 'sha256', padding: constants.RSA_PKCS1_PADDING },
  PS256: { hash: 'sha256', padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
  ES256: { hash: 'sha256', dsaEncoding: 'ieee-p1363' },
  EdDSA: { hash: null }
}

/** Puts a key to work. */
export function createEngine (key: CheckedKey, extra: Header): Engine {
  const { kid, algorithm } = key
  const headers = Object.fromEntries(TOKEN_TYPES.map((typ) => [
    typ, { alg: algorithm, typ, ...(kid === undefined ? {} : { kid }), ...(typ === 'at+jwt' ? extra : {}) }
  ])) as unknown as Engine['headers']
  return { key, headers, sign: key.canSign ? signerOf(key, headers) : undefined, isSigned: checkOf(key) }
}

/**
 * Signs over @fastify/jwt, in an instance of Fastify that serves nothing and is never started: so keys can come at any time, and
 * neither the host nor a plugin of it sees them.
 */
function signerOf ({ algorithm, material }: CheckedKey, headers: Engine['headers']): Sign {
  const host = Fastify()
  for (const [namespace, header] of Object.entries(headers)) {
    // Called rather than registered: it does all of its work at once, and queues would only make every start slower.
    fastifyJwt(host, {
      namespace,
      secret: material as string,
      sign: { algorithm, header },
      // Nobody calls its verifier, which it makes all the same.
      verify: { algorithms: [algorithm] }
    }, ifError)
  }
  const jwt = host.jwt as unknown as Record<TokenType, Jwt>
  return (type, claims, extra) => extra === undefined
    ? jwt[type].sign(claims)
    : jwt[type].sign(claims, { algorithm, header: { ...headers[type], ...extra } })
}

/**
 * Checks signatures with Node alone, so that no payload is read that nobody signed. The library reads it first, and looks at much that is
 * judged elsewhere: with HS256 a token that is new to a node took a quarter longer.
 */
function checkOf ({ algorithm, material }: CheckedKey): Engine['isSigned'] {
  if (typeof material === 'string' || Buffer.isBuffer(material)) {
    const secret = createSecretKey(Buffer.from(material as string))
    const hash = `sha${algorithm.slice(2)}`
    return (text, signature) => {
      const expected = createHmac(hash, secret).update(text).digest()
      return signature.length === expected.length && timingSafeEqual(signature, expected)
    }
  }
  const { hash, ...scheme } = SCHEMES[algorithm as keyof typeof SCHEMES]
  const key = { key: createPublicKey(material.public), ...scheme }
  return (text, signature) => verify(hash, Buffer.from(text), key, signature)
}

import { ifError } from 'node:assert'
import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'
import type { CheckedKey } from './keys'
import type { KeyAlgorithm } from '../types'

/** The kinds of tokens, by the `typ` of their headers. */
export const TOKEN_TYPES = ['at+jwt', 'rt+jwt', 'ot+jwt'] as const

export type TokenType = typeof TOKEN_TYPES[number]

export type Header = Readonly<Record<string, unknown>>

/** One key at work. */
export interface Engine {
  readonly key: CheckedKey
  /** The header of every token of a type that this key signs, but for members that are given one by one. */
  readonly headers: Readonly<Record<TokenType, Header & { readonly alg: KeyAlgorithm }>>
  /** @param extra further members of the header, for this token only. It costs a signer of its own. */
  sign (type: TokenType, claims: object, extra?: Header): string
  /** The payload of a token with a signature of this key and its one algorithm; undefined for anything else. Of the header only `alg` is looked at. */
  verify (token: string): Header | undefined
}

interface Jwt {
  sign (claims: object, options?: object): string
  verify (token: string): Header
}

/**
 * Puts a key to work over @fastify/jwt, in an instance of Fastify that serves nothing and is never started: so keys can come at any
 * time, and neither the host nor a plugin of it sees them.
 */
export function createEngine (key: CheckedKey, extra: Header): Engine {
  const { kid, algorithm, canSign, material } = key
  const headers = Object.fromEntries(TOKEN_TYPES.map((typ) => [
    typ, { alg: algorithm, typ, ...(kid === undefined ? {} : { kid }), ...(typ === 'at+jwt' ? extra : {}) }
  ])) as unknown as Engine['headers']

  const host = Fastify()
  for (const [namespace, header] of Object.entries(headers)) {
    // Called rather than registered: it does all of its work at once, and queues would only make every start slower.
    fastifyJwt(host, {
      namespace,
      secret: material as string,
      ...(canSign ? { sign: { algorithm, header } } : {}),
      // Claims and times are judged elsewhere, by one clock and by type: the library looks at the signature.
      verify: { algorithms: [algorithm], ignoreExpiration: true, ignoreNotBefore: true }
    }, ifError)
  }
  const jwt = host.jwt as unknown as Record<TokenType, Jwt>
  const { verify } = jwt['at+jwt']

  return {
    key,
    headers,
    sign: (type, claims, extra) => extra === undefined
      ? jwt[type].sign(claims)
      : jwt[type].sign(claims, { algorithm, header: { ...headers[type], ...extra } }),
    verify (token) {
      try {
        return verify(token)
      } catch {
        // Whatever it throws, and it throws a lot, the token is not one of this key.
        return undefined
      }
    }
  }
}

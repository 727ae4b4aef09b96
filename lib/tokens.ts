import { isUtf8 } from 'node:buffer'
import fastifyJwt from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import { optionInvalid } from './errors'
import { freezeDeep } from './frozen'
import type { AccessTokenClaims, OneTimeTokenClaims, Secret } from '../types'

/** The longest token that is issued or looked at, in characters. Node refuses headers beyond 16 KiB in all. */
export const MAX_TOKEN_LENGTH = 8192

/** Nodes of one application never agree to the second, and a token from the future gains nobody anything. */
const IAT_TOLERANCE = 5

export interface RefreshTokenClaims {
  readonly iss: string
  readonly aud: string | readonly string[]
  readonly sub: string
  readonly sid: string
  /** The session and the generation: one refresh token, one id. */
  readonly jti: string
  readonly gen: number
  readonly iat: number
  readonly exp: number
  readonly token_use: 'refresh'
  /** Copied from token to token through the life of a session. */
  readonly csrf?: string
}

/** A token whose signature, form and claims are right, but for its expiry: that is for the caller to judge. */
export interface Verified<Claims> {
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: Claims
}

/** The claims that only this file writes. */
type Issued = 'iss' | 'aud' | 'token_use'

export interface TokenKind<Claims> {
  /** @throws `OPTION_INVALID` when the claims make it longer than `MAX_TOKEN_LENGTH`. */
  sign (claims: Omit<Claims, Issued>): string
  /** Undefined for anything but a token of this kind that this application signed and that is valid already. Never throws. */
  verify (token: string, now: number): Verified<Claims> | undefined
}

export interface Tokens {
  readonly access: TokenKind<AccessTokenClaims>
  readonly refresh: TokenKind<RefreshTokenClaims>
  readonly once: TokenKind<OneTimeTokenClaims>
  /** Whether a token that was verified has expired. */
  isExpired (claims: { readonly exp: number }, now: number): boolean
  /** What a token says, unverified; null when it is not one. */
  decode (token: string): { header: Record<string, unknown>, claims: Record<string, unknown> } | null
}

export interface TokenSettings {
  readonly secrets: readonly Secret[]
  readonly issuer: string
  readonly audience: readonly string[]
  readonly clockTolerance: number
  /** The longest life that an access token may claim. */
  readonly accessLifetime: number
}

/** The part of a namespace of @fastify/jwt that is used: signers and verifiers that were built once. */
interface Jwt {
  sign (claims: object): string
  verify (token: string): { header: Record<string, unknown>, payload: unknown }
  decode (token: string): { header: Record<string, unknown>, payload: Record<string, unknown> }
}

type Claims = Record<string, unknown>

/** One base64url segment in its one canonical spelling: no padding, no spare bits (RFC 4648 section 3.5). */
const SEGMENT = '(?:[\\w-]{4})*(?:[\\w-]{4}|[\\w-][AQgw]|[\\w-]{2}[AEIMQUYcgkosw048])'
const COMPACT = new RegExp(`^${SEGMENT}\\.${SEGMENT}\\.${SEGMENT}$`)
const SESSION_ID = /^[\w-]{22}$/

/** Two registrations in one process must not meet in @fastify/jwt, whose names are global to a host that registered it first. */
let registrations = 0

/** Signs and verifies over @fastify/jwt, which is registered where the host cannot see it. */
export async function createTokens (app: FastifyInstance, settings: TokenSettings): Promise<Tokens> {
  const { issuer, audience, clockTolerance } = settings
  const registration = registrations++
  const rings = { 'at+jwt': [] as Jwt[], 'rt+jwt': [] as Jwt[], 'ot+jwt': [] as Jwt[] }

  await app.register(async (hidden) => {
    for (const [index, secret] of settings.secrets.entries()) {
      for (const [typ, ring] of Object.entries(rings)) {
        const name = `fastifyJwtSession${registration}_${index}_${typ}`
        await hidden.register(fastifyJwt, {
          secret,
          namespace: name,
          decoratorName: name,
          decode: { complete: true },
          sign: { algorithm: 'HS256', header: { alg: 'HS256', typ } },
          // Claims and times are judged here, by one clock and by type: the library looks at the signature.
          verify: { algorithms: ['HS256'], checkTyp: typ, complete: true, ignoreExpiration: true, ignoreNotBefore: true }
        })
        ring.push((hidden.jwt as unknown as Record<string, Jwt>)[name] as Jwt)
      }
    }
  })

  const issued = { iss: issuer, aud: audience.length === 1 ? audience[0] as string : audience }

  function areCommonClaimsSound (claims: Claims, now: number): boolean {
    return claims.iss === issuer &&
      isAudience(claims.aud) &&
      typeof claims.sub === 'string' && claims.sub !== '' &&
      typeof claims.sid === 'string' && SESSION_ID.test(claims.sid) &&
      typeof claims.jti === 'string' && claims.jti !== '' &&
      (claims.csrf === undefined || typeof claims.csrf === 'string') &&
      isCount(claims.gen) && isCount(claims.iat) && isCount(claims.exp) &&
      claims.iat <= now + Math.max(clockTolerance, IAT_TOLERANCE) &&
      (!Object.hasOwn(claims, 'nbf') || (isCount(claims.nbf) && claims.nbf <= now + clockTolerance))
  }

  function isAudience (aud: unknown): boolean {
    return Array.isArray(aud)
      ? aud.every((member) => typeof member === 'string') && audience.some((member) => aud.includes(member))
      : typeof aud === 'string' && audience.includes(aud)
  }

  function kind<Kind extends AccessTokenClaims | RefreshTokenClaims | OneTimeTokenClaims> (
    typ: keyof typeof rings, use: Kind['token_use'], isSound: (claims: Claims) => boolean
  ): TokenKind<Kind> {
    const ring = rings[typ]
    return {
      sign (claims) {
        const token = (ring[0] as Jwt).sign({ ...claims, ...issued, token_use: use })
        if (token.length > MAX_TOKEN_LENGTH) {
          throw optionInvalid('claims', `make a token of more than ${MAX_TOKEN_LENGTH} characters`, 'Keep ids in it and look the rest up')
        }
        return token
      },
      verify (token, now) {
        if (token.length > MAX_TOKEN_LENGTH || !COMPACT.test(token) || !isStrict(token, typ)) return undefined
        for (const jwt of ring) {
          const verified = signedBy(jwt, token)
          if (verified === undefined) continue
          const claims = verified.payload as Claims
          const isValid = claims.token_use === use && areCommonClaimsSound(claims, now) && isSound(claims)
          return isValid ? { header: Object.freeze(verified.header), claims: freezeDeep(claims as unknown as Kind) } : undefined
        }
        return undefined
      }
    }
  }

  return {
    access: kind<AccessTokenClaims>('at+jwt', 'access', ({ iat, exp, auth_time: authTime, fresh }) =>
      isCount(authTime) &&
      (fresh === undefined || fresh === true) &&
      (exp as number) - (iat as number) <= settings.accessLifetime),
    refresh: kind<RefreshTokenClaims>('rt+jwt', 'refresh', ({ jti, sid, gen }) => jti === refreshTokenId(sid as string, gen as number)),
    once: kind<OneTimeTokenClaims>('ot+jwt', 'once', ({ purpose }) => typeof purpose === 'string'),
    isExpired: (claims, now) => claims.exp + clockTolerance <= now,
    decode (token) {
      if (!COMPACT.test(token)) return null
      try {
        const { header, payload } = (rings['at+jwt'][0] as Jwt).decode(token)
        return { header, claims: payload }
      } catch {
        // The library throws at what is not JSON: that is no token.
        return null
      }
    }
  }
}

/** The id of the one refresh token of a generation. */
export function refreshTokenId (sessionId: string, generation: number): string {
  return `${sessionId}.${generation}`
}

/** A time or a counter: nothing that overflows, is negative or has a fraction. */
function isCount (value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/**
 * What the library is lax about: the header says exactly `alg` and `typ`, so that nothing in it (`crit`, `b64`, `jwk`, `zip` …)
 * is left to be understood or ignored, and the payload is UTF-8.
 */
function isStrict (token: string, typ: string): boolean {
  const [head, body] = token.split('.', 2) as [string, string]
  if (!isUtf8(Buffer.from(body, 'base64url'))) return false
  try {
    const header = JSON.parse(Buffer.from(head, 'base64url').toString()) as Claims | null
    return header !== null && Object.keys(header).length === 2 && header.alg === 'HS256' && header.typ === typ
  } catch {
    return false
  }
}

function signedBy (jwt: Jwt, token: string): ReturnType<Jwt['verify']> | undefined {
  try {
    return jwt.verify(token)
  } catch {
    // Whatever it throws, and it throws a lot, the token is not one of ours.
    return undefined
  }
}

import { optionInvalid } from './errors'
import { freezeDeep } from './frozen'
import { isSegment, parseSegment } from './segments'
import type { Header, TokenType } from './engine'
import type { Ring } from './key-ring'
import type { Seated } from './seats'
import type { AccessTokenClaims, Auth, OneTimeTokenClaims, TokenClaims } from '../types'

/** The longest token that is issued or looked at, in characters. Node refuses headers beyond 16 KiB in all. */
export const MAX_TOKEN_LENGTH = 8192

/** Nodes of one application never agree to the second, and a token from the future gains nobody anything. */
const IAT_TOLERANCE = 5

export interface RefreshTokenClaims extends TokenClaims {
  readonly token_use: 'refresh'
  /** Copied from token to token through the life of a session. */
  readonly csrf?: string
}

/** A token whose signature, form and claims are right, but for its expiry: that is for the caller to judge. */
export interface Verified<Claims> extends Seated {
  readonly header: Header
  readonly claims: Claims
  /** What was made of it for a request, for the next one. */
  auth: Auth | undefined
}

/** The claims that only this file writes. */
type Issued = 'iss' | 'aud' | 'token_use'

export interface TokenKind<Claims> {
  /**
   * @param extra further members of the header, for this token only.
   * @throws `OPTION_INVALID` when it gets longer than `MAX_TOKEN_LENGTH`.
   */
  sign (claims: Omit<Claims, Issued>, extra?: Header): string
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
  readonly issuer: string
  readonly audience: readonly string[]
  readonly clockTolerance: number
  /** The longest life that an access token may claim. */
  readonly accessLifetime: number
}

type Claims = Record<string, unknown>

const SESSION_ID = /^[\w-]{22}$/

/** What tokens of both kinds say and have to say, whichever keys sign them. */
export function createTokens (ring: Ring, settings: TokenSettings): Tokens {
  const { issuer, audience, clockTolerance } = settings
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
      (claims.nbf === undefined || (isCount(claims.nbf) && claims.nbf <= now + clockTolerance))
  }

  function isAudience (aud: unknown): boolean {
    return Array.isArray(aud)
      ? aud.every((member) => typeof member === 'string') && audience.some((member) => aud.includes(member))
      : typeof aud === 'string' && audience.includes(aud)
  }

  function kind<Kind extends TokenClaims & { readonly token_use: string }> (
    type: TokenType, use: Kind['token_use'], isSound: (claims: Claims) => boolean
  ): TokenKind<Kind> {
    return {
      sign (claims, extra) {
        const token = ring.sign(type, { ...claims, ...issued, token_use: use }, extra)
        if (token.length > MAX_TOKEN_LENGTH) {
          throw optionInvalid('claims', `make a token of more than ${MAX_TOKEN_LENGTH} characters`, 'Keep ids in it and look the rest up')
        }
        return token
      },
      verify (token, now) {
        const signed = token.length > MAX_TOKEN_LENGTH ? undefined : ring.verify(token, type)
        if (signed === undefined) return undefined
        const { header, payload } = signed
        if (payload.token_use !== use || !areCommonClaimsSound(payload, now) || !isSound(payload)) return undefined
        const claims = freezeDeep(payload as unknown as Kind)
        return { header, claims, session: { id: claims.sid, subject: claims.sub }, seat: undefined, auth: undefined }
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
      const [head = '', body = '', signature = '.', ...more] = token.split('.', 4)
      const [header, claims] = [parseSegment(head), parseSegment(body)]
      return header === undefined || claims === undefined || !isSegment(signature) || more.length > 0 ? null : { header, claims }
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

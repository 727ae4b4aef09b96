import { randomBytes } from 'node:crypto'
import { Value } from '@sinclair/typebox/value'
import { now } from './clock'
import { optionInvalid } from './errors'
import { frozenCopy } from './frozen'
import { checkedFields } from './header-fields'
import { refreshTokenId } from './tokens'
import type { Parts } from './parts'
import type { ClaimsContext, SessionRecord, SessionUser, TokenAnswer } from '../types'

/** What the plugin itself says in a token, and names that standards gave to things it does not say. */
const RESERVED = new Set([
  'iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'sid', 'auth_time', 'gen', 'fresh', 'token_use', 'typ', 'cnf', 'csrf', 'purpose', '__proto__'
])

/** Names under which applications keep what must never be in a token, without regard to case and separators. */
const CREDENTIAL = /^(?:password|passwd|passphrase|pwd|secret|clientsecret|privatekey|apikey|accesstoken|refreshtoken)(?:hash|digest|salt)?$/

/** Modular crypt format: what bcrypt, argon2 and their like make. */
const HASH = /^\$(?:2[abxy]|argon2(?:id|i|d)|scrypt|pbkdf2[\w-]*|[156]|y|7)\$/

/** What a token answer is made for, and the `csrf` claim of the session, if it has one. */
export interface Occasion extends Omit<ClaimsContext, 'sessionId'> {
  readonly csrf: string | undefined
}

/** Makes the tokens of a session as its record says: the same record, the same refresh token. */
export async function issue (
  { settings, tokens }: Parts, record: SessionRecord, user: SessionUser, { csrf, ...context }: Occasion
): Promise<TokenAnswer> {
  const { id, subject, expiresAt, state } = record
  const claims = await claimsOf(settings.claims(user, { ...context, sessionId: id }), user, settings.claimsSchema)
  const header = settings.header.make && checkedFields(await settings.header.make(user, { ...context, sessionId: id }))
  const presented = settings.presentUser === undefined ? {} : { user: await settings.presentUser(user) }

  const time = now()
  const iat = Math.floor(time)
  const end = Math.floor(Math.min(state.idleExpiresAt, expiresAt))
  const exp = Math.min(iat + settings.tokens.accessLifetime, end)
  const bound = csrf === undefined ? {} : { csrf }
  return {
    access_token: tokens.access.sign({
      ...claims,
      sub: subject,
      sid: id,
      jti: randomBytes(16).toString('base64url'),
      iat,
      exp,
      auth_time: Math.floor(state.authTime),
      gen: state.generation,
      ...(context.reason === 'login' ? { fresh: true } : {}),
      ...(settings.saysNotBefore ? { nbf: iat } : {}),
      ...bound
    }, header),
    token_type: 'Bearer',
    expires_in: exp - iat,
    refresh_token: tokens.refresh.sign({
      sub: subject,
      sid: id,
      jti: refreshTokenId(id, state.generation),
      gen: state.generation,
      iat: Math.floor(state.rotatedAt),
      exp: end,
      ...bound
    }),
    refresh_expires_in: end - iat,
    ...(csrf === undefined ? {} : { csrf_token: csrf }),
    ...presented
  }
}

async function claimsOf (answer: unknown, user: SessionUser, schema: Parts['settings']['claimsSchema']): Promise<object> {
  const claims = soundClaims(await answer, user.passwordHash)
  if (schema !== undefined && !Value.Check(schema, claims)) {
    throw optionInvalid('claims', 'returned what claimsSchema does not allow', 'Bring the two in line')
  }
  return claims
}

/** A copy of claims that the application gave, refused when they hold what no token may hold. */
export function soundClaims (answer: unknown, passwordHash: string): object {
  const claims: unknown = frozenCopy(answer)
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) {
    throw optionInvalid('claims', 'did not return an object', 'Return an object, {} for no claims')
  }
  for (const name of Object.keys(claims)) {
    if (RESERVED.has(name)) throw optionInvalid('claims', `returned ${name}, which is reserved`, 'Give the claim another name')
  }
  refuseCredentials(claims, passwordHash)
  return claims
}

/** Anyone who holds a token can read it. */
function refuseCredentials (value: unknown, passwordHash: string): void {
  if (typeof value === 'string' && value !== '' && (value === passwordHash || HASH.test(value))) {
    throw optionInvalid('claims', 'returned a password hash', 'Choose the members of the user that clients may read')
  }
  if (typeof value !== 'object' || value === null) return
  for (const [name, member] of Object.entries(value)) {
    if (CREDENTIAL.test(name.replace(/[-_\s]/g, '').toLowerCase())) {
      throw optionInvalid('claims', `returned ${name}, which looks like a credential`, 'Choose the members of the user that clients may read')
    }
    refuseCredentials(member, passwordHash)
  }
}

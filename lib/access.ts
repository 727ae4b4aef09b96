import { after } from './awaitable'
import { now } from './clock'
import { refuseForgery } from './csrf'
import { sessionError } from './errors'
import { lookUp } from './users'
import type { Parts } from './parts'
import type { Verified } from './tokens'
import type { AccessTokenClaims, Auth, Awaitable, GuardRequest, RegisteredUser, SessionUser, TokenLocation } from '../types'

/**
 * The access token of a request and where it was found, unverified; undefined when there is none.
 * @throws `REQUEST_INVALID` when two places hold different ones.
 */
export function findToken (
  { settings: { transport } }: Parts, request: GuardRequest, locations = transport.locations
): { token: string, location: TokenLocation } | undefined {
  let found: { token: string, location: TokenLocation } | undefined
  // By number: an iterator is made anew for every request.
  for (let index = 0; index < locations.length; index++) {
    const location = locations[index] as TokenLocation
    const token = transport.find[location](request)
    if (token === undefined || token === found?.token) continue
    if (found !== undefined) throw sessionError('REQUEST_INVALID', { token: true })
    found = { token, location }
  }
  return found
}

/**
 * Who an access token speaks for, after every check. Answers at once if the store does.
 * @throws `TOKEN_INVALID`, `TOKEN_EXPIRED`, `CSRF_FAILED`, `SESSION_REVOKED`, `STORE_UNAVAILABLE`.
 */
export function authorize (
  parts: Parts, token: string, source: TokenLocation | null, request?: GuardRequest
): Awaitable<Auth> {
  const pending = parts.remote?.fetchFor(token)
  return pending === undefined ? judge(parts, token, source, request) : pending.then(() => judge(parts, token, source, request))
}

function judge (
  { tokens, sessions, settings }: Parts, token: string, source: TokenLocation | null, request: GuardRequest | undefined
): Awaitable<Auth> {
  const time = now()
  const verified = tokens.access.verify(token, time)
  if (verified === undefined) throw sessionError('TOKEN_INVALID')
  const { claims } = verified
  if (tokens.isExpired(claims, time)) throw sessionError('TOKEN_EXPIRED')
  if (source === 'cookie') refuseForgery(settings.transport.csrf, request as GuardRequest, claims.csrf)

  return after(sessions.resume(verified, claims.gen, time), admit, verified, source)
}

function admit (isLive: boolean, verified: Verified<AccessTokenClaims>, source: TokenLocation | null): Auth {
  if (!isLive) throw sessionError('SESSION_REVOKED')
  return authOf(verified, source)
}

/** Made once for a token that is remembered. It is frozen, so requests can share it. */
function authOf (verified: Verified<AccessTokenClaims>, source: TokenLocation | null): Auth {
  if (verified.auth?.source === source) return verified.auth
  const { claims, header } = verified
  return (verified.auth = Object.freeze({
    subject: claims.sub,
    sessionId: claims.sid,
    claims: claims as Auth['claims'],
    header,
    authTime: claims.auth_time,
    fresh: claims.fresh === true,
    source
  }))
}

/** The same with the user, or with the means to find it, as far as it is not there already. */
export function withUser (parts: Parts, auth: Auth, loadUser: boolean | 'lazy'): Awaitable<Auth> {
  if (loadUser === true && auth.user === undefined) {
    return after(auth.loadUser?.() ?? findUser(parts, auth.subject), (user) => extended(auth, 'user', user))
  }
  if (loadUser === 'lazy' && auth.loadUser === undefined) {
    let pending: Promise<SessionUser> | undefined
    return extended(auth, 'loadUser', async () => auth.user ?? await (pending ??= findUser(parts, auth.subject)))
  }
  return auth
}

/** Not enumerable: what is made of `auth` for an answer or a log holds no user. */
function extended (auth: Auth, name: 'user' | 'loadUser', value: unknown): Auth {
  const members = Object.getOwnPropertyDescriptors(auth)
  return Object.freeze(Object.create(Object.prototype, { ...members, [name]: { value, enumerable: false } }) as Auth)
}

async function findUser ({ settings }: Parts, subject: string): Promise<RegisteredUser> {
  const user = await lookUp(() => settings.userLookup.findById(subject))
  if (user === undefined || user.disabled) throw sessionError('SESSION_REVOKED')
  return user as RegisteredUser
}

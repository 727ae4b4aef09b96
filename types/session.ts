import type { FastifyReply, FastifyRequest, JwtSessionTypes } from 'fastify'
import type { SessionEvents } from './events'
import type { KeyRing } from './keys'
import type { OneTimeToken, OneTimeTokenClaims } from './one-time-token'
import type { TokenLocation } from './transport'
import type { SessionUser } from './users'

/** A value, or a promise of it. */
export type Awaitable<T> = T | Promise<T>

/** Seconds as a number, or a whole number with a unit: `'500ms'`, `'30s'`, `'15m'`, `'12h'`, `'7d'`, `'2w'`, `'1y'`. */
export type Duration = number | string

/** The user type of the application: `JwtSessionTypes['user']`, or the least that a user has. */
export type RegisteredUser = JwtSessionTypes extends { user: infer User extends SessionUser } ? User : SessionUser

/** The claims type of the application: `JwtSessionTypes['claims']`, or any claims. */
export type RegisteredClaims = JwtSessionTypes extends { claims: infer Claims extends object } ? Claims : Record<string, unknown>

/** From where a session was opened, as far as it was known. Kept with the session, cut to 256 characters each. */
export interface Device {
  /** The `User-Agent` header of the login. */
  readonly userAgent?: string
  /** `request.ip` of the login, so Fastify's `trustProxy` decides what it is. */
  readonly ip?: string
}

/** The plugin's part of a session record. Points in time are epoch seconds, with a fraction. */
export interface SessionState {
  /** How often the session's refresh token has been rotated. */
  readonly generation: number
  /** When the current generation came to be. */
  readonly rotatedAt: number
  /** Whether a token of the current generation has come back, which proves that the client received it. */
  readonly seen: boolean
  /** When credentials were last shown. */
  readonly authTime: number
  /** When the session was opened. */
  readonly createdAt: number
  /** When the session ends unless its refresh token is used. */
  readonly idleExpiresAt: number
  /** When the session was revoked. */
  readonly revokedAt?: number
  /** From where the session was opened. */
  readonly device: Device
  /** What a one-time token is for. Absent for sessions. */
  readonly purpose?: string
}

/** A live session, as `app.jwtSession.list` tells of it. Points in time are epoch seconds, with a fraction. */
export interface Session extends Device {
  /** The session's id, the `sid` claim of its tokens. */
  readonly id: string
  /** The subject whose session it is. */
  readonly subject: string
  /** When it was opened. */
  readonly createdAt: number
  /** When its tokens were last renewed. */
  readonly rotatedAt: number
  /** When it ends unless it is refreshed. */
  readonly idleExpiresAt: number
  /** When it ends in any case. */
  readonly expiresAt: number
}

/** The claims that every token of this package carries (RFC 7519, OpenID Connect). Times are epoch seconds. */
export interface TokenClaims {
  readonly iss: string
  readonly aud: string | readonly string[]
  /** The subject. */
  readonly sub: string
  /** The id of the session, or of the one-time token. */
  readonly sid: string
  readonly jti: string
  /** The generation of the session that the token belongs to. */
  readonly gen: number
  readonly iat: number
  readonly exp: number
}

/** The claims that every access token carries (RFC 7519, RFC 9068, OpenID Connect). Times are epoch seconds. */
export interface AccessTokenClaims extends TokenClaims {
  /** When credentials were last shown. */
  readonly auth_time: number
  /** Present on tokens that a login made, absent on those that a refresh made. */
  readonly fresh?: true
  /** Present with `accessToken.nbf`. */
  readonly nbf?: number
  readonly token_use: 'access'
  /** What a client of the cookie transport repeats in a header. Absent when no cookies are in use. */
  readonly csrf?: string
}

/** Who makes a request, on `request.auth`. Frozen, and there only when every check passed. */
export interface Auth {
  /** Whom the token speaks for: the `id` of your user. */
  readonly subject: string
  readonly sessionId: string
  /** The verified claims, yours and the registered ones. Deeply frozen. */
  readonly claims: Readonly<AccessTokenClaims & RegisteredClaims>
  /** The verified header of the token. */
  readonly header: Readonly<Record<string, unknown>>
  /** When credentials were last shown, in epoch seconds. */
  readonly authTime: number
  /** Whether the token was made by a login rather than by a refresh. */
  readonly fresh: boolean
  /** Where the token came from; `null` when it was handed to `app.jwtSession.verify`. */
  readonly source: TokenLocation | null
  /**
   * The user, as `userLookup.findById` found it for this request. There when a guard was asked for it by `loadUser: true`. Not
   * enumerable, so that an answer made of `request.auth` does not hold it.
   */
  readonly user?: RegisteredUser
  /**
   * Finds the user, once for a request. There when a guard was asked for it by `loadUser: 'lazy'`.
   * @throws `SESSION_REVOKED` when the user is gone or disabled, `STORE_UNAVAILABLE`.
   */
  readonly loadUser?: () => Promise<RegisteredUser>
}

/** The answer that carries tokens (RFC 6749 section 5.1). Lifetimes are seconds from now. */
export interface TokenAnswer {
  access_token: string
  token_type: 'Bearer'
  expires_in: number
  refresh_token: string
  refresh_expires_in: number
  /** What a client of the cookie transport repeats in a header. Present when `locations` has `'cookie'`; not in answers whose tokens are in the body. */
  csrf_token?: string
  /** What `presentUser` made of the user, when it is given. */
  user?: unknown
}

/** What this process remembers, so that warm requests cost little. */
export interface SessionMemory {
  /** How many sessions are remembered as live; at most 100,000, and none where `isTrusted` is `null`. */
  readonly liveSessions: number
  /** How many verified access tokens are remembered; at most the option `tokenMemory`. */
  readonly tokens: number
  /**
   * Whether the subscription to revocations is trusted at this moment; while it is not, every request asks the store. `null`
   * where there is none. With `session.maxStaleness` it is `true`, unless this process has just
   * stood still or is closed.
   */
  readonly isTrusted: boolean | null
}

/** The programmatic face of the plugin, on `app.jwtSession`. */
export interface JwtSession {
  /**
   * Opens a session without a password, for OAuth callbacks and tests.
   * @param request from which the device is described; it is handed on to `claims`.
   * @throws `INVALID_CREDENTIALS` when the user is disabled or no longer found, `STORE_UNAVAILABLE`.
   * @example
   * ```ts
   * app.get('/callback', async (request, reply) => {
   *   const user = await userOfCallback(request) // yours: checks the state and the code
   *   app.jwtSession.deliver(reply, await app.jwtSession.login(user, request))
   *   return reply.redirect('/')
   * })
   * ```
   */
  login (user: RegisteredUser, request?: FastifyRequest): Promise<TokenAnswer>
  /**
   * Trades a refresh token for new tokens, as `POST /refresh` does.
   * @throws `REFRESH_TOKEN_INVALID`, `STORE_UNAVAILABLE`.
   */
  refresh (refreshToken: string): Promise<TokenAnswer>
  /**
   * Checks an access token as the guards do: signature, claims, expiry and session.
   * @throws `TOKEN_INVALID`, `TOKEN_EXPIRED`, `SESSION_REVOKED`, `STORE_UNAVAILABLE`.
   */
  verify (accessToken: string): Promise<Auth>
  /**
   * Puts tokens on their way as a login does, in cookies or not, by `deliver`; answers what the body of the response is to be.
   * For logins of your own: `return app.jwtSession.deliver(reply, await app.jwtSession.login(user, request))`.
   * @throws `OPTION_INVALID` when the claims make a cookie that browsers would drop.
   */
  deliver (reply: FastifyReply, tokens: TokenAnswer): object
  /** Removes the cookies with tokens from the client, when `locations` has `'cookie'`. Sessions are ended by `revoke`, not by this. */
  clearCookies (reply: FastifyReply): void
  /** What a token says, **unverified**: anyone can write anything into it. `null` when it is not a token at all. */
  decode (token: string): { header: Record<string, unknown>, claims: Record<string, unknown> } | null
  /**
   * Ends a session. Answers whether this call ended it; `false` when there was nothing left to end.
   * @throws `STORE_UNAVAILABLE` when it could not be written: the session may still be alive.
   */
  revoke (session: { id: string, subject: string }): Promise<boolean>
  /**
   * Ends all sessions of a subject, but for the one named by `except`. Answers the ids of those that it ended.
   * Call it when a password changes or an account is closed.
   * @throws `STORE_UNAVAILABLE` when one could not be written: sessions may still be alive. Calling again is safe.
   */
  revokeAll (subject: string, options?: { except?: string }): Promise<string[]>
  /**
   * The live sessions of a subject, oldest first.
   * @throws `STORE_UNAVAILABLE`.
   */
  list (subject: string): Promise<Session[]>
  /**
   * Makes a token for one purpose that works once: a link to reset a password, or to confirm an address. No guard accepts it. It
   * ends with `revokeAll` of its subject, and with the data of the store.
   * @throws `OPTION_INVALID` for a purpose, a lifetime or claims that cannot be used, `STORE_UNAVAILABLE`.
   * @example
   * ```ts
   * const token = await app.jwtSession.issueOneTimeToken({ purpose: 'password-reset', subject: admin.id, expiresIn: '30m' })
   *
   * // In the route that the page of the link posts to:
   * const { subject } = await app.jwtSession.consumeOneTimeToken(token, { purpose: 'password-reset' })
   * await app.jwtSession.revokeAll(subject)
   * ```
   */
  issueOneTimeToken (token: OneTimeToken): Promise<string>
  /**
   * Uses a one-time token up. Of several calls with one token, one succeeds. Do it when the user acts (`POST`), not when the
   * link is opened: mail scanners open links.
   * @throws `TOKEN_INVALID` for one that is not for this purpose, was used or was revoked, `TOKEN_EXPIRED`,
   * `STORE_UNAVAILABLE`: then the token may be used up.
   */
  consumeOneTimeToken (token: string, use: { purpose: string }): Promise<{ subject: string, claims: OneTimeTokenClaims }>
  /** What happens to sessions on this node. */
  readonly events: SessionEvents
  /** What this process remembers at this moment, for gauges. */
  memory (): SessionMemory
  /** The keys of this process, for live rotation. */
  readonly keys: KeyRing
  /**
   * Makes the hash of a password that `userLookup` is to return as `passwordHash`.
   * @throws `REQUEST_INVALID` when the password is empty, holds a NUL or is longer than the scheme reads (bcrypt: 72 bytes); `BUSY`.
   */
  hashPassword (password: string): Promise<string>
  /**
   * Whether a password belongs to a hash. A malformed hash answers `false`, after the same work.
   * @throws `BUSY`.
   */
  verifyPassword (password: string, passwordHash: string): Promise<boolean>
}

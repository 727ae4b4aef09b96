import { httpErrors } from '@fastify/sensible'
import type { FastifyError } from 'fastify'

const INVALID_TOKEN = 'Bearer error="invalid_token"'
const RETRY_AFTER = 1

/** Every error of the plugin: status, fixed message, challenge (RFC 6750 section 3). */
const table = {
  TOKEN_MISSING: [401, 'An access token is required', 'Bearer'],
  TOKEN_INVALID: [401, 'The access token is not valid', INVALID_TOKEN],
  TOKEN_EXPIRED: [401, 'The access token has expired', INVALID_TOKEN],
  SESSION_REVOKED: [401, 'The session has ended', INVALID_TOKEN],
  REAUTHENTICATION_REQUIRED: [401, 'A more recent login is required', 'Bearer error="insufficient_user_authentication"'],
  // RFC 9110 section 15.5.2 wants a challenge in every 401; it names no error because no token was involved.
  INVALID_CREDENTIALS: [401, 'The credentials are not valid', 'Bearer'],
  REFRESH_TOKEN_INVALID: [401, 'The refresh token is not valid', INVALID_TOKEN],
  CLAIMS_INSUFFICIENT: [403, 'The access token does not grant this', 'Bearer error="insufficient_scope"'],
  CSRF_FAILED: [403, 'The request was not made by a page of the application', null],
  SESSION_NOT_FOUND: [404, 'There is no such session', null],
  USERNAME_TAKEN: [409, 'The username is taken', null],
  REQUEST_INVALID: [400, 'The request is malformed', null],
  TOO_MANY_ATTEMPTS: [429, 'There were too many attempts', null],
  BUSY: [503, 'Passwords cannot be checked at the moment', null],
  STORE_UNAVAILABLE: [503, 'Sessions cannot be looked up at the moment', null],
  OPTION_INVALID: [500, 'An option is not valid', null]
} as const satisfies Record<string, readonly [status: number, message: string, challenge: string | null]>

/** The names of the errors, the part of a `code` behind `FST_JWT_SESSION_`. */
export type SessionErrorName = keyof typeof table

/** The `code` of an error. */
export type SessionErrorCode = `FST_JWT_SESSION_${SessionErrorName}`

/** What the plugin throws. Its `message` is fixed for its `code` (but for `OPTION_INVALID`) and holds nothing of the request. */
export interface SessionError extends FastifyError {
  code: SessionErrorCode
  statusCode: number
  /** The headers of the answer: `Cache-Control`, the challenge, `Retry-After`. They are set also when an error handler of yours answers. */
  headers: Record<string, string>
}

/** All errors, for documentation and for tests that hold it true. */
export const sessionErrors: Readonly<Record<SessionErrorName, readonly [status: number, message: string, challenge: string | null]>> = table

interface Details {
  /** For the log only. */
  cause?: unknown
  /** Whether a token was involved in a malformed request, which RFC 6750 section 3.1 wants told. */
  token?: boolean
  /** The age in seconds that credentials may have (RFC 9470 section 3). */
  maxAge?: number
  /** In how many seconds another try makes sense. */
  retryAfter?: number
}

export function sessionError (name: SessionErrorName, details: Details = {}): SessionError {
  const [statusCode, message] = table[name]
  return create(name, statusCode, message, details)
}

/** An option that cannot be used: which, what is wrong with it, and what to do about it. */
export function optionInvalid (option: string, problem: string, remedy: string): SessionError {
  return create('OPTION_INVALID', table.OPTION_INVALID[0], `fastify-jwt-session: ${option} ${problem}. ${remedy}.`, {})
}

/**
 * Whether an error is one of this package, also one of another copy of it.
 *
 * @example
 * ```ts
 * import { isSessionError } from 'fastify-jwt-session'
 *
 * app.setErrorHandler((error, _request, reply) => {
 *   if (!isSessionError(error)) return reply.send(error) // as Fastify would
 *   return reply.code(error.statusCode).send({ reason: error.code })
 * })
 * ```
 */
export function isSessionError (error: unknown): error is SessionError {
  const { code, headers } = (error ?? {}) as Partial<SessionError>
  // What a gateway hands on may have the code of an error, and nothing else of it.
  return typeof code === 'string' && code.startsWith(PREFIX) && Object.hasOwn(table, code.slice(PREFIX.length)) && headers?.['cache-control'] !== undefined
}

const PREFIX = 'FST_JWT_SESSION_'

function create (name: SessionErrorName, statusCode: number, message: string, { cause, token, maxAge, retryAfter = RETRY_AFTER }: Details): SessionError {
  const headers: Record<string, string> = { 'cache-control': 'no-store' }
  const challenge = token ? 'Bearer error="invalid_request"' : table[name][2]
  if (challenge !== null) headers['www-authenticate'] = maxAge === undefined ? challenge : `${challenge}, max_age=${maxAge}`
  if (statusCode === 503 || statusCode === 429) headers['retry-after'] = String(retryAfter)
  const properties = { code: `${PREFIX}${name}` as const, headers, ...(cause === undefined ? {} : { cause }) }
  return httpErrors.createError(statusCode, message, properties) as unknown as SessionError
}

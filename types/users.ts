import type { FastifyRequest } from 'fastify'
import type { Awaitable } from './session'

/** The least that a user of the application has to have. Anything else is yours. */
export interface SessionUser {
  /** Stable and never given to another user: it becomes the subject of every token. A non-empty string of at most 256 characters. */
  id: string
  /** What `hashPassword` made. Anything else (an empty string, for users without a password) fits no password. */
  passwordHash: string
  /** A disabled user can neither log in nor refresh. To end the sessions that are open, call `app.jwtSession.revokeAll`. */
  disabled?: boolean
}

/**
 * Finds the users of the application. A rejection means that nobody could be asked: the answer is `STORE_UNAVAILABLE` (503).
 * "No such user" is `null` or `undefined`, never an error.
 */
export interface UserLookup<User extends SessionUser = SessionUser> {
  /**
   * The user who logs in under this name. The name is what the client sent, not trimmed and not normalised, of 1 to 256
   * characters and without NUL.
   */
  findByUsername (username: string, request: FastifyRequest): Awaitable<User | null | undefined>
  /** The user with this `id`. Asked at the end of every login and at every refresh; without a user the session ends. */
  findById (id: string): Awaitable<User | null | undefined>
}

/**
 * Hashes and verifies passwords.
 *
 * `verify` MUST do the same work for every hash that `hash` could have made, and SHOULD do it for one that is malformed, so
 * that the time tells nothing.
 */
export interface Passwords {
  /** @throws `RangeError` for a password that the scheme would not read to its end. */
  hash (password: string): Awaitable<string>
  /** Whether the password belongs to the hash. A malformed hash, or a password that `hash` would refuse, belongs to none. */
  verify (password: string, passwordHash: string): Awaitable<boolean>
}

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

/** What a new user is made of. */
export interface NewUser {
  readonly [name: string]: unknown
  /** What `passwords.hash` made of the password. */
  readonly passwordHash: string
  /** The password as the client sent it. Not enumerable. */
  readonly password: string
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
  /**
   * Optional. Makes a user for `POST /register`; `null` or `undefined` when the name was taken meanwhile. `input` holds the
   * username under the name of its field, `passwordHash`, and what the route's `bodySchema` names. The password itself is there as
   * `password`, not enumerable, to be looked at and never to be kept.
   *
   * An error with a `statusCode` from 400 to 499 is answered as it is; any other means that nobody could be asked (503).
   */
  create? (input: NewUser, request: FastifyRequest): Awaitable<User | null | undefined>
  /**
   * Optional. Keeps a hash that was made anew after a good login, because the stored one is older than what `passwords` makes
   * today. It MUST write only where the stored hash still is `user.passwordHash`: a password that was changed in between must
   * not come back. A rejection is logged; the login stands.
   */
  updatePasswordHash? (user: User, passwordHash: string): Awaitable<void>
}

/**
 * Hashes and verifies passwords.
 *
 * `verify` MUST do the same work for every hash that `hash` could have made, and SHOULD do it for one that is malformed, so
 * that the time tells nothing.
 */
export interface Passwords {
  /** @throws `RangeError` for a password that the scheme would not read to its end. */
  hash (password: string, options?: PasswordsCall): Awaitable<string>
  /**
   * Whether the password belongs to the hash. A malformed hash, or a password that `hash` would refuse, belongs to none. A
   * rejection means that nobody could tell, and becomes `BUSY` (503).
   */
  verify (password: string, passwordHash: string, options?: PasswordsCall): Awaitable<boolean>
  /** Optional. Whether a hash is older than what `hash` makes today. Asked after a good login. */
  needsRehash? (passwordHash: string): boolean
  /** Optional. Called when an application that was registered with it closes; another one may still use it. */
  close? (): Awaitable<void>
}

/** What a call of `Passwords` may bring. */
export interface PasswordsCall {
  /** Aborted when nobody waits for the answer any more. MAY be heeded, by rejecting. */
  readonly signal?: AbortSignal | undefined
}

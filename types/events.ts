import type { SessionErrorCode } from '../lib/errors'
import type { Device } from './session'
import type { SessionRef } from './store'

/** Why a refresh token was refused. Clients are told `REFRESH_TOKEN_INVALID` in every case. */
export type RefreshRefusal = 'malformed' | 'unknown' | 'expired' | 'revoked' | 'reused' | 'user_gone'

/** Why a session was revoked. */
export type RevocationReason = 'logout' | 'reused' | 'user_gone' | 'limit' | 'called'

/** A call of the store whose answer had to be waited for. A call that was not answered in time has failed. */
export interface StoreCall {
  /** One read may be for the sessions of many requests. */
  readonly operation: 'read' | 'write' | 'list'
  /** How long its answer was waited for, in seconds. */
  readonly duration: number
  readonly outcome: 'answered' | 'failed'
}

/**
 * The events of `app.jwtSession.events` and what each tells. None holds a token, a password or a hash.
 *
 * Each is also published on the channel `fastify-jwt-session:<name>` of `node:diagnostics_channel`, for all registrations of the
 * process. What a subscriber of a channel throws is raised by Node as an uncaught exception, which ends a process that does not handle it.
 */
export interface SessionEventMap {
  /** A session was opened. */
  'login.succeeded': SessionRef & { readonly device: Device }
  /** Credentials were refused. `username` is what the client sent: it may be a mistyped password, so think before you keep it. */
  'login.failed': { readonly username: string, readonly device: Device }
  /**
   * Credentials were not looked at, because there were too many attempts for this name or from this address; `retryAfter` is in
   * seconds. `username` is what the client sent.
   */
  'login.throttled': {
    readonly username: string
    readonly device: Device
    readonly scope: 'account' | 'address'
    readonly retryAfter: number
  }
  /** A password hash was made anew and stored. */
  'password.rehashed': { readonly subject: string }
  /** A password hash that should be made anew could not be made or stored; the login stands. */
  'rehash.failed': { readonly subject: string, readonly reason: string }
  /** A refresh was answered. `rotated` is false where the client got the current generation once more. */
  'refresh.succeeded': SessionRef & { readonly generation: number, readonly rotated: boolean }
  /** A refresh was refused. The session is named when the token was authentic. */
  'refresh.refused': { readonly reason: RefreshRefusal, readonly session: SessionRef | null }
  /** A client that never received its new tokens was given them once more, after the reuse interval. */
  'refresh.recovered': SessionRef & { readonly generation: number }
  /** A refresh token was used after its rotation; the session was revoked (RFC 9700 section 4.14.2). */
  'session.reused': SessionRef & { readonly generation: number, readonly presented: number }
  /** A session was revoked by this node. */
  'session.revoked': SessionRef & { readonly reason: RevocationReason }
  /** The store knew an older generation than an authentic token: it lost acknowledged writes. */
  'store.regressed': SessionRef & { readonly generation: number, readonly presented: number }
  /** The store was called and did not answer at once. Made only while somebody listens; a store that always answers at once makes none. */
  'store.called': StoreCall
  /**
   * A request was refused with an error of this package. `statusCode` is that of the error: a handler of yours may answer another.
   * `route` is the pattern of its URL, `null` where no route was found.
   */
  'request.refused': { readonly code: SessionErrorCode, readonly statusCode: number, readonly route: string | null }
}

/** Listens to what happens to sessions. What a listener throws is logged and disturbs nothing. */
export interface SessionEvents {
  on<Name extends keyof SessionEventMap> (name: Name, listener: (event: SessionEventMap[Name]) => unknown): this
  once<Name extends keyof SessionEventMap> (name: Name, listener: (event: SessionEventMap[Name]) => unknown): this
  off<Name extends keyof SessionEventMap> (name: Name, listener: (event: SessionEventMap[Name]) => unknown): this
}

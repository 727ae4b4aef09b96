import type { Awaitable, Duration, RegisteredClaims } from './session'
import type { GuardRequest, TokenLocation } from './transport'

/** A guard: a Fastify hook, best used as `onRequest`, that may also be awaited by hand. */
export interface GuardHook {
  (request: GuardRequest, reply: unknown, done: (error?: Error) => void): void
  (request: GuardRequest, reply: unknown): Promise<void>
}

/**
 * What a guard asks of an access token beyond being valid.
 *
 * @example
 * ```ts
 * app.get('/news', { onRequest: [app.authenticate({ optional: true })] }, ({ auth }) => ({ hello: auth?.subject ?? 'stranger' }))
 * app.delete('/account', { onRequest: [app.authenticate({ fresh: true })] }, () => ({ deleted: true }))
 * app.get('/name', { onRequest: [app.authenticate({ loadUser: true })] }, ({ auth }) => ({ id: auth.user?.id }))
 * ```
 */
export interface AuthenticateOptions {
  /** Lets requests without a token pass, with `request.auth` being `null`. A bad token still fails. @default false */
  optional?: boolean
  /** Asks for a token that was made by a login, not by a refresh. @default false */
  fresh?: boolean
  /** Asks that credentials were shown within this time: 1 second to 1 year (`auth_time`, RFC 9470). @default no limit */
  maxAge?: Duration
  /**
   * Where this route looks for an access token, in order. `'query'` puts tokens into logs, histories and `Referer` headers
   * (RFC 6750 section 5.3): for links that nothing else works for. `'body'` is there from `preValidation` on, so the guard
   * has to be such a hook.
   * @default the option `locations`
   */
  locations?: readonly TokenLocation[]
  /** Asks for a token whose `aud` holds this (RFC 7519 section 4.1.3). @default any of the option `audience` */
  audience?: string
  /**
   * Whether the user is found for `request.auth`: `true` as `user`, `'lazy'` by `loadUser()` when it is called. A user who is
   * gone or disabled is refused with `SESSION_REVOKED`.
   * @default the option `loadUser`
   */
  loadUser?: boolean | 'lazy'
}

/**
 * Guards a route: `onRequest: [app.authenticate]`. Called with requirements, it returns a guard that has them:
 * `onRequest: [app.authenticate({ maxAge: '10m' })]`.
 *
 * Refuses with `TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `SESSION_REVOKED`, `REAUTHENTICATION_REQUIRED` (401),
 * `CSRF_FAILED` (403), `REQUEST_INVALID` (400) or `STORE_UNAVAILABLE` (503).
 * @throws `OPTION_INVALID`, when the route is declared, for requirements that contradict each other.
 */
export interface Authenticate extends GuardHook {
  (requirements?: AuthenticateOptions): GuardHook
  (request: GuardRequest, reply: unknown, done: (error?: Error) => void): void
  (request: GuardRequest, reply: unknown): Promise<void>
}

/** A claim's value that can be compared. */
export type ClaimValue = string | number | boolean | null

/** Made by `anyOf` and `allOf`. */
export interface ClaimChoice<Value> {
  readonly quantifier: 'any' | 'all'
  readonly values: readonly Value[]
}

type Member<Value> = Value extends readonly (infer Item)[] ? Item : Value

/**
 * What is asked of one claim: a value that it equals or, being an array, contains; `anyOf` or `allOf` several; a predicate
 * (which is not asked when the claim is absent); or an object of requirements on its own members.
 */
export type ClaimRequirement<Value> =
  | Extract<Member<Value>, ClaimValue>
  | ClaimChoice<Member<Value>>
  | ((value: Value) => Awaitable<boolean>)
  | (Value extends readonly unknown[] ? never : Value extends object ? ClaimRequirements<Value> : never)

/** Requirements on several claims. All must hold. */
export type ClaimRequirements<Claims extends object = RegisteredClaims> = string extends keyof Claims
  ? { readonly [name: string]: AnyRequirement }
  : { readonly [Name in keyof Claims]?: ClaimRequirement<NonNullable<Claims[Name]>> }

/** A requirement on a claim whose type is not known. */
export type AnyRequirement =
  | ClaimValue
  | ClaimChoice<unknown>
  // A parameter of unknown type would refuse every predicate that names the type it expects.
  | ((value: never) => Awaitable<boolean>)
  | { readonly [name: string]: AnyRequirement }

/**
 * Guards a route by claims: `onRequest: [app.requireClaims({ role: 'admin' })]`. Authenticates first if nothing did yet.
 *
 * Refuses like `authenticate`, and with `CLAIMS_INSUFFICIENT` (403) when a requirement does not hold.
 * @throws `OPTION_INVALID`, when the route is declared, for requirements that make no sense.
 */
export type RequireClaims = (requirements: ClaimRequirements) => GuardHook

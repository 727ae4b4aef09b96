import type { FastifyContextConfig, FastifyRequest } from 'fastify'
import type { SigningOptions } from './keys'
import type { Awaitable, Duration, RegisteredClaims } from './session'
import type { AuthorizationOptions, ChooseDelivery, CookieOptions, CsrfOptions, Delivery, TokenLocation } from './transport'
import type { Passwords, SessionUser, UserLookup } from './users'
import type { RevocationStore } from './store'

/** A key of at least 32 bytes, best made by `openssl rand -base64 32`. A string counts in UTF-8. */
export type Secret = string | Buffer

/** `false` switches a route off, `true` on; a string is its path. */
export type RouteOption = boolean | string | {
  path?: string
  /** Fastify's `config` of the route: for a rate limiter, say. */
  config?: FastifyContextConfig
  /**
   * A TypeBox object schema of what the body holds beside what the route reads itself. `userLookup.findByUsername` finds it in
   * `request.body`, `userLookup.create` in its input.
   */
  bodySchema?: BodySchema
}

/** An object schema of TypeBox, described like `ClaimsSchema`. */
export interface BodySchema {
  readonly type: 'object'
  readonly properties: object
}

/** An object schema of TypeBox, described: its packages for `import` and for `require` have different types for the same thing. */
export interface ClaimsSchema<Claims> {
  readonly type: 'object'
  readonly static: Claims
}

/** How many attempts to log in are allowed within a time. */
export interface AttemptBudget {
  /** How many: 1 to 100,000. */
  attempts?: number
  /** Within which time, counted from the first: 1 second to 1 day. */
  window?: Duration
}

/** How guesses of passwords are slowed down. `false` counts nothing of a kind. */
export interface ThrottleOptions {
  /** For each username, known or not. A login that succeeds clears the count. @default { attempts: 20, window: '15m' } */
  account?: AttemptBudget | false
  /**
   * For each address: `request.ip`, so Fastify's `trustProxy` decides what it is; of IPv6 the first 64 bits. A login that
   * succeeds does not count. @default { attempts: 200, window: '15m' }
   */
  address?: AttemptBudget | false
}

/** For what a token is issued. */
export interface ClaimsContext {
  /** The id of the session. */
  readonly sessionId: string
  /** Which act issues it. */
  readonly reason: 'login' | 'refresh'
  /** The request that caused it, when there is one. */
  readonly request: FastifyRequest | undefined
}

/** Extra members of the header of access tokens: JSON, and none of those that say how a token is to be read (`alg`, `kid`, `crit` …). */
export type HeaderFields = Readonly<Record<string, unknown>>

/**
 * The options of the plugin. They are checked when it is registered: what is wrong is refused with `OPTION_INVALID` and a
 * message that says how to mend it, and so is an option that does not exist.
 *
 * `keys`: the first signs, all verify, each with its own algorithm only. Tokens name their key by `kid`.
 *
 * @example
 * ```ts
 * await app.register(jwtSession, {
 *   keys: [{ kid: '2026-06', algorithm: 'EdDSA', privateKey: process.env.PRIVATE_KEY }], // openssl genpkey -algorithm ed25519
 *   issuer: 'https://login.example.com',
 *   audience: 'shop',
 *   session: { idleTimeout: '3d', maxPerSubject: 10 },
 *   userLookup,
 *   claims: ({ roles }) => ({ roles }),
 *   routes: { jwks: true, sessions: true }
 * })
 * ```
 */
export type JwtSessionOptions<User extends SessionUser = SessionUser, Claims extends object = RegisteredClaims> =
  SigningOptions & SessionOptions<User, Claims>

/** The options beside the keys. */
export interface SessionOptions<User extends SessionUser = SessionUser, Claims extends object = RegisteredClaims> {
  /** Finds users. */
  userLookup: UserLookup<User>
  /**
   * What goes into the access token beside the registered claims. Asked at every login and refresh; what it returns is copied.
   * Reserved names, and names and values that look like credentials, are refused: anyone can read a token.
   * @default no claims
   */
  claims?: (user: User, context: ClaimsContext) => Awaitable<Claims>
  /** A TypeBox schema of `claims`. It is checked whenever a token is issued, and gives `claims` its static type. */
  claimsSchema?: ClaimsSchema<Claims>
  /** The `iss` claim, issued and required (RFC 7519 section 4.1.1). @default 'fastify-jwt-session' */
  issuer?: string
  /** The `aud` claim, issued and required; of a list, one match suffices (RFC 7519 section 4.1.3). @default 'fastify-jwt-session' */
  audience?: string | readonly string[]
  /** The access token. */
  accessToken?: {
    /** How long it lasts, at most as long as its session: 1 second to 1 day. @default '15m' */
    expiresIn?: Duration
    /** Whether it says `nbf`, which is its `iat`. Nodes whose clocks differ need `clockTolerance` then. @default false */
    nbf?: boolean
  }
  /** Extra members of the header of access tokens, or a function that makes them. @default none */
  header?: HeaderFields | ((user: User, context: ClaimsContext) => Awaitable<object>)
  /**
   * How far clocks may differ when `exp` and `nbf` are judged: 0 to 5 minutes. (`iat` is always allowed 5 seconds, as the
   * nodes of one application never agree to the second.)
   * @default 0
   */
  clockTolerance?: Duration
  /** How long sessions last, and how many there may be. */
  session?: {
    /** A session ends when its refresh token is not used for so long: 1 second to 1 year. @default '7d' */
    idleTimeout?: Duration
    /** A session ends after so long in any case: 1 second to 1 year, not less than `idleTimeout`. @default '30d' */
    absoluteTimeout?: Duration
    /** How many live sessions a subject may have; a login beyond it ends the oldest. @default no limit */
    maxPerSubject?: number
    /**
     * How late a node may notice what another one revoked, 100 milliseconds to 5 minutes. What a node revokes itself it knows at
     * once. Refused with a store that has `watch`; pointless with one that answers at once. @default every request asks the store
     */
    maxStaleness?: Duration
  }
  /**
   * What a refresh token that was used before means.
   *
   * `'strict'`: reuse, always (but for requests that provably overlapped). `'tolerant'`: for 10 seconds a repetition, and for an
   * hour a client that never received the answer, if no token of it was seen since. Browsers with several tabs, and clients on
   * bad networks, want `'tolerant'`.
   * @default 'strict'; 'tolerant' when `locations` has 'cookie'
   */
  rotation?: 'strict' | 'tolerant'
  /** Where sessions live. @default memoryStore() */
  revocationStore?: RevocationStore
  /** How long a store may take to answer before it counts as failed: 10 milliseconds to 1 minute. @default '1s' */
  storeTimeout?: Duration
  /** How passwords are hashed. @default bcryptPasswords() */
  passwords?: Passwords
  /**
   * How many attempts `POST /login` allows before it answers `TOO_MANY_ATTEMPTS` (429). Attempts are counted before anything is
   * looked up or hashed, in the Redis or PostgreSQL where sessions live, else in this process. `false` switches it off.
   */
  throttle?: ThrottleOptions | false
  /**
   * Where the guards look for an access token, in order: `'header'` and `'cookie'`. The first place that has one decides; a
   * request whose places disagree is refused. `'cookie'` needs the package @fastify/cookie, and protects against forged
   * requests (CSRF). `'query'` and `'body'` are for single routes: `authenticate({ locations: ['query'] })`.
   * @default ['header']
   */
  locations?: readonly TokenLocation[]
  /** The header that access tokens travel in. @default `Authorization: Bearer …` */
  authorization?: AuthorizationOptions
  /**
   * How a login is answered: `'body'`, `'cookie'`, or a function of the request that says which. A refresh is answered the way
   * its token came.
   * @default 'cookie' if `locations` is cookies alone, else 'body'
   */
  deliver?: Delivery | ChooseDelivery
  /** The cookies that tokens travel in, when `locations` has `'cookie'`. */
  cookie?: CookieOptions
  /** How forged requests are told, when `locations` has `'cookie'`. */
  csrf?: CsrfOptions
  /**
   * How many verified access tokens are remembered, so that the signature of a token is not checked at every request:
   * 1 to 1,000,000, 1 to 2 KB each, or `false`. Expiry and session are judged at every request all the same, and a key that is retired
   * takes its tokens with it. A token is kept when it has come two or three times. Make it as large as the number of tokens in use.
   * @default 10000
   */
  tokenMemory?: number | false
  /**
   * Whether guards find the user for `request.auth`: `true` at every request, as `user`; `'lazy'` when `loadUser()` is called.
   * With `true`, a user who is gone or disabled is refused at once, and each guarded request asks `userLookup.findById`.
   * @default false
   */
  loadUser?: boolean | 'lazy'
  /**
   * Guards every route of the context that the plugin is registered in, and of those below, by `authenticate`, also routes that
   * were declared before. The plugin's own routes are left as they are. A route says otherwise in its `config`:
   * `config: { authenticate: false }`, or `{ authenticate: { optional: true } }` and other requirements.
   * @default false
   */
  protectAll?: boolean
  /** The name of the first field of the login body: `'email'`, say. @default 'username' */
  usernameField?: string
  /** What the token answers tell of the user, as their `user`. Return what the client may know, never the whole user. @default nothing */
  presentUser?: (user: User) => Awaitable<unknown>
  /** Where the routes are. */
  routes?: {
    /** In front of every path. @default '' */
    prefix?: string
    /** @default '/login' */
    login?: RouteOption
    /** @default '/refresh' */
    refresh?: RouteOption
    /** @default '/logout' */
    logout?: RouteOption
    /** `POST`, makes a user and logs in; needs `userLookup.create`. @default false; '/register' when `true` */
    register?: RouteOption
    /** `GET` lists the sessions of the subject, `DELETE` of `…/:id` ends one. @default false; '/sessions' when `true` */
    sessions?: RouteOption
    /** The public keys, for those who verify tokens elsewhere. @default false; '/.well-known/jwks.json' when `true` */
    jwks?: RouteOption
  }
}

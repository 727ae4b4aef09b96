import type { Authenticate, AuthenticateOptions, RequireClaims } from './guards'
import type { JwtSessionOptions } from './options'
import type { Auth, JwtSession, RegisteredClaims } from './session'
import type { SessionUser } from './users'
import type { VerifyOnlyOptions } from './verify-only'

/** What no other plugin looks like. */
interface JwtSessionPlugin { readonly fastifyJwtSession: unknown, readonly requireClaims: RequireClaims }

declare module 'fastify' {
  /**
   * The types of your application, for module augmentation. `user` types the users that `app.jwtSession.login` takes; `claims`
   * types `request.auth.claims` and what `requireClaims` accepts; `nullableAuth: true` types `request.auth` as `Auth | null`,
   * which is what it is on routes without a guard.
   *
   * @example
   * ```ts
   * declare module 'fastify' {
   *   interface JwtSessionTypes {
   *     claims: { roles: string[] }
   *   }
   * }
   * ```
   */
  interface JwtSessionTypes {}

  // Lets the types of users and claims flow through the options; every other plugin falls through to Fastify's own signatures.
  interface FastifyRegister<T> {
    <User extends SessionUser, Claims extends object = RegisteredClaims> (
      plugin: JwtSessionPlugin | Promise<{ default: JwtSessionPlugin }>,
      options: JwtSessionOptions<User, Claims>
    ): T
    (plugin: JwtSessionPlugin | Promise<{ default: JwtSessionPlugin }>, options: VerifyOnlyOptions): T
  }

  interface FastifyContextConfig {
    /** With the option `protectAll`: `false` for a route that anyone may call, or what its guard asks for. */
    authenticate?: false | AuthenticateOptions
  }

  interface FastifyInstance {
    /**
     * A guard that lets only requests with a valid access token of a live session pass.
     *
     * @example
     * ```ts
     * app.get('/me', { onRequest: [app.authenticate] }, ({ auth }) => ({ id: auth.subject }))
     * app.post('/email', { onRequest: [app.authenticate({ maxAge: '10m' })] }, () => ({ changed: true }))
     * ```
     */
    authenticate: Authenticate
    /**
     * Makes a guard that also looks at claims.
     *
     * @example
     * ```ts
     * app.get('/reports', { onRequest: [app.requireClaims({ roles: 'admin' })] }, () => ({ reports: [] }))
     * ```
     */
    requireClaims: RequireClaims
    /** Sessions, from your own code. */
    jwtSession: JwtSession
  }

  interface FastifyRequest {
    /**
     * Who makes the request. `null` at run time where no guard ran, and where an `optional` one found no token; typed so with
     * `JwtSessionTypes { nullableAuth: true }`.
     */
    auth: JwtSessionTypes extends { nullableAuth: true } ? Auth | null : Auth
  }
}

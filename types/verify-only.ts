import type { JwkSet, JwkSetLocation, Key } from './keys'
import type { HeaderFields, SessionOptions } from './options'
import type { Duration } from './session'
import type { RevocationStore } from './store'

/** By what a resource server verifies: keys that do not sign, or what the issuing application publishes. */
export type VerifyingOptions =
  { keys: readonly Key[], jwks?: undefined } | { jwks: JwkSet | JwkSetLocation, keys?: undefined }

/**
 * The options of a resource server, which honours the access tokens of another application and makes none: the guards and
 * `app.jwtSession.verify`, and no routes. `issuer`, `audience`, `accessToken.expiresIn`, `rotation` and `header` have to be as
 * they are in the application that issues.
 *
 * @example
 * ```ts
 * await app.register(jwtSession, {
 *   jwks: { url: 'https://login.example.com/.well-known/jwks.json' },
 *   issuer: 'https://login.example.com',
 *   audience: 'shop',
 *   revocationStore: false // tokens are honoured until they expire; with the store of the issuer, until their session ends
 * })
 * app.get('/orders', { onRequest: [app.requireClaims({ roles: 'buyer' })] }, ({ auth }) => ({ ordersOf: auth.subject }))
 * ```
 */
export type VerifyOnlyOptions = VerifyingOptions & Pick<
  SessionOptions, 'issuer' | 'audience' | 'clockTolerance' | 'rotation' | 'storeTimeout' | 'locations' | 'authorization' | 'cookie' | 'csrf' | 'protectAll' | 'tokenMemory'
> & {
  /** The store of the application that issues, or `false`: tokens are honoured until they expire, whatever became of their session. */
  revocationStore: RevocationStore | false
  /** The longest life that an access token may claim: 1 second to 1 day. @default '15m' */
  accessToken?: { expiresIn?: Duration }
  /** For stores without `watch`: how late a revocation may be noticed. */
  session?: { maxStaleness?: Duration }
  /** The extra members of the headers of the tokens. Where the issuer has a function, an object with the same names; values do not matter. */
  header?: HeaderFields
  userLookup?: undefined
}

import type { Duration, TokenClaims } from './session'

/** What a one-time token is to be. */
export interface OneTimeToken {
  /** What it is for: `'password-reset'`, say. 1 to 64 letters, digits and `- _ . :`. It works for nothing else. */
  readonly purpose: string
  /** Whom it speaks for. */
  readonly subject: string
  /** How long it works: 1 second to 30 days. @default '1h' */
  readonly expiresIn?: Duration
  /** What else it says. The same names are refused as in access tokens: anyone who holds it can read it. @default nothing */
  readonly claims?: Readonly<Record<string, unknown>>
}

/** The claims of a one-time token, yours included. */
export interface OneTimeTokenClaims extends TokenClaims {
  readonly [name: string]: unknown
  readonly purpose: string
  readonly token_use: 'once'
}

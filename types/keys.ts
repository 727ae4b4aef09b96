import type { JsonWebKey, KeyObject } from 'node:crypto'
import type { Secret } from './options'
import type { Duration } from './session'

/** How tokens may be signed (RFC 7518 section 3.1, RFC 8037). `EdDSA` is Ed25519, `ES256` is P-256, RSA keys have at least 2048 bits. */
export type KeyAlgorithm = 'HS256' | 'HS384' | 'HS512' | 'RS256' | 'PS256' | 'ES256' | 'EdDSA'

/** Half of a pair of keys: PEM as text or bytes, a KeyObject, or a JSON Web Key as an object. */
export type KeyMaterial = string | Buffer | KeyObject | JsonWebKey

interface NamedKey {
  /** The name of the key in the headers of tokens: 1 to 64 letters, digits, `_`, `-` or `.`. Never give it to another key. */
  kid: string
  /** `'verify'`: it does not sign, though it could and though it may be the first. @default the first key signs */
  use?: 'verify' | undefined
}

/** A key that whoever verifies has to keep secret. */
export interface SecretKey extends NamedKey {
  /** The hash of the HMAC. */
  algorithm: 'HS256' | 'HS384' | 'HS512'
  /** At least as long as the hash: 32, 48 or 64 bytes (RFC 7518 section 3.2). */
  secret: Secret | undefined
  privateKey?: undefined
  publicKey?: undefined
}

/** A pair of keys: who verifies needs the public one only. */
export interface PairKey extends NamedKey {
  /** What the pair was made for. */
  algorithm: 'RS256' | 'PS256' | 'ES256' | 'EdDSA'
  /** Signs. It is enough by itself: the public key is in it. Not encrypted; open an encrypted one with `createPrivateKey` of node:crypto. */
  privateKey?: KeyMaterial | undefined
  /** Verifies. Enough where nothing is signed. */
  publicKey?: KeyMaterial | undefined
  secret?: undefined
}

/** A key of the option `keys`. */
export type Key = SecretKey | PairKey

/** By what tokens are signed and verified: `secret`, `keys`, or `keys` while the tokens of `secret` are still honoured. */
export type SigningOptions =
  { secret: SecretOption, keys?: readonly Key[] | undefined } | { keys: readonly Key[], secret?: SecretOption }

/**
 * One HMAC secret (HS256), or a list of secrets: the first signs, all verify. To change the secret, put the new one in front
 * and drop the old one when its sessions have ended. Shorter than 32 bytes, or known from documentation: refused
 * (RFC 8725 section 3.5).
 *
 * Beside `keys` that sign, its tokens are honoured still.
 */
export type SecretOption = Secret | readonly (Secret | undefined)[] | undefined

/** What may be told of a key. */
export interface KeyInfo {
  /** Its name; `null` for the option `secret`. */
  readonly kid: string | null
  readonly algorithm: KeyAlgorithm
  /** `'sign'` is the one key that signs. It verifies, too. */
  readonly use: 'sign' | 'verify'
}

/**
 * The keys of this process, which may be changed while it runs. The same has to be done in every process of the application,
 * and one step has to have reached all before the next: a key that one process signs with, others must know.
 *
 * @example
 * ```ts
 * await app.jwtSession.keys.add({ kid: '2026-06', algorithm: 'EdDSA', privateKey: process.env.PRIVATE_KEY })
 * app.jwtSession.keys.promote('2026-06') // when every process knows it
 * app.jwtSession.keys.retire(null) // the secret, when session.idleTimeout has passed since
 * ```
 */
export interface KeyRing {
  /** The keys, in the order in which they came. */
  list (): KeyInfo[]
  /**
   * From now on the key verifies.
   * @throws `OPTION_INVALID` for a key that the option `keys` would not take, or whose `kid` is taken.
   */
  add (key: Key): Promise<void>
  /**
   * From now on the key signs. `null`: the option `secret`.
   * @throws `OPTION_INVALID` for a key that is not there, or that cannot sign.
   */
  promote (kid: string | null): void
  /**
   * From now on the tokens of the key are refused. `null`: the option `secret`, however many it holds.
   * @throws `OPTION_INVALID` for a key that is not there, or that signs.
   */
  retire (kid: string | null): void
}

/** A JSON Web Key Set (RFC 7517 section 5), as `GET /.well-known/jwks.json` answers it. */
export interface JwkSet {
  readonly keys: readonly JsonWebKey[]
}

/** Where a JSON Web Key Set is published. */
export interface JwkSetLocation {
  /** An https URL; http for localhost only. */
  url: string
  /** How often it is fetched: 1 second to 1 day. What is retired there is refused here after so long at most, while it can be fetched. @default '5m' */
  refreshInterval?: Duration
  /** How long a `kid` that nobody knows causes no other fetch: 1 second to 1 hour. @default '30s' */
  cooldown?: Duration
}

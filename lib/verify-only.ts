import { optionInvalid } from './errors'
import { keysOfSet } from './jwk-set'
import { readKeys, type KeySettings } from './keys'
import { readDuration, refuseUnknown } from './option-values'
import type { RemoteSettings } from './remote-keys'
import type { Sessions } from './sessions'
import type { JwkSetLocation, JwtSession, JwtSessionOptions, VerifyOnlyOptions } from '../types'

const KNOWN = [
  'keys', 'jwks', 'issuer', 'audience', 'accessToken', 'header', 'clockTolerance', 'session', 'rotation', 'revocationStore', 'storeTimeout',
  'locations', 'authorization', 'cookie', 'csrf', 'protectAll', 'tokenMemory', 'userLookup'
] as const satisfies readonly (keyof VerifyOnlyOptions)[]

/** A registration that honours tokens which another application issues. */
export interface VerifyOnly {
  /** Its options, with what it does without filled in, so that the rest is read as everywhere. */
  readonly options: JwtSessionOptions
  readonly keys: KeySettings
  /** Where the keys are published, unless they were given. */
  readonly remote: RemoteSettings | undefined
  /** Whether tokens are honoured whatever became of their sessions. */
  readonly isTrusting: boolean
}

/** Reads the options of a resource server; undefined for those of an application that issues tokens. */
export function readVerifyOnly (options: JwtSessionOptions | VerifyOnlyOptions): VerifyOnly | undefined {
  if (!isVerifyOnly(options)) return undefined
  refuseUnknown('options', options, KNOWN)
  const { keys, jwks, revocationStore, session = {}, accessToken = {}, ...others } = options
  if (jwks !== undefined && keys !== undefined) throw optionInvalid('jwks', 'and keys are both given', 'Give one of the two')
  refuseUnknown('session', session, ['maxStaleness'])
  refuseUnknown('accessToken', accessToken, ['expiresIn'])
  if (revocationStore === undefined) {
    throw optionInvalid('revocationStore', 'is missing, without which nobody sees that a session has ended',
      'Give the store of the application that issues the tokens, or false to honour tokens until they expire')
  }
  const remote = isLocation(jwks) ? readLocation(jwks) : undefined
  return {
    options: {
      ...others,
      session,
      accessToken,
      secret: undefined,
      userLookup: { findByUsername: refuse, findById: refuse },
      passwords: { hash: () => '', verify: refuse },
      routes: { login: false, refresh: false, logout: false },
      ...(revocationStore === false ? {} : { revocationStore })
    },
    keys: jwks === undefined ? readKeys({ keys }, false) : { keys: remote === undefined ? keysOfSet(jwks) : [], signing: undefined },
    remote,
    isTrusting: revocationStore === false
  }
}

/** Whoever has keys that do not sign, and no users, means it. */
function isVerifyOnly (options: object | null | undefined): options is VerifyOnlyOptions {
  const { userLookup, jwks, keys, secret } = (options ?? {}) as Record<string, unknown>
  if (userLookup !== undefined) return false
  return jwks !== undefined ||
    (secret === undefined && Array.isArray(keys) && keys.every((key) => key?.use === 'verify' || (key?.secret ?? key?.privateKey) === undefined))
}

function isLocation (jwks: unknown): jwks is JwkSetLocation {
  return typeof jwks === 'object' && jwks !== null && Object.hasOwn(jwks, 'url')
}

function readLocation (location: JwkSetLocation): RemoteSettings {
  refuseUnknown('jwks', location, ['url', 'refreshInterval', 'cooldown'])
  const url = URL.canParse(String(location.url)) ? new URL(location.url) : undefined
  const isLocal = url?.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  if (url === undefined || (url.protocol !== 'https:' && !isLocal)) {
    throw optionInvalid('jwks.url', 'is not an https URL', 'Give one; http is for localhost only')
  }
  return {
    url: url.href,
    refreshInterval: readDuration('jwks.refreshInterval', location.refreshInterval ?? '5m', '1s', '1d'),
    cooldown: readDuration('jwks.cooldown', location.cooldown ?? '30s', '1s', '1h')
  }
}

function refuse (): never {
  throw optionInvalid('userLookup', 'is missing, so that tokens are only verified here', 'Do this in the application that issues them')
}

/** The sessions of a registration that looks none up: they are live as long as their tokens. */
export function trusting (sessions: Sessions): Sessions {
  return { ...sessions, resume: () => true }
}

/** `app.jwtSession` without what a registration that only verifies cannot do. */
export function withoutIssuing (session: JwtSession, isTrusting: boolean): JwtSession {
  const never = async (): Promise<never> => refuse()
  const issuing = { login: never, refresh: never, hashPassword: never, verifyPassword: never, issueOneTimeToken: never, consumeOneTimeToken: never }
  return Object.freeze({ ...session, ...issuing, ...(isTrusting ? { revoke: never, revokeAll: never, list: never } : {}) })
}

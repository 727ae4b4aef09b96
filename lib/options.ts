import type { TSchema } from '@sinclair/typebox'
import { optionInvalid } from './errors'
import { readHeader } from './header-fields'
import { readKeys, warningsOf } from './keys'
import { readBoolean, readDuration, readLoadUser, refuseUnknown } from './option-values'
import { bcryptPasswords } from './passwords/bcrypt'
import { INTERVALS } from './policy'
import { readRoutes, readUsernameField } from './route-options'
import { assumedWatch } from './stores/assumed'
import { memoryStore } from './stores/memory'
import { readThrottle } from './throttle'
import { readTransport } from './transport-options'
import { readVerifyOnly } from './verify-only'
import type { Settings } from './parts'
import type { JwtSessionOptions, VerifyOnlyOptions } from '../types'

const NAME = 'fastify-jwt-session'

const KNOWN = [
  'secret', 'keys', 'header', 'userLookup', 'claims', 'claimsSchema', 'issuer', 'audience', 'accessToken', 'clockTolerance', 'session', 'rotation',
  'revocationStore', 'storeTimeout', 'passwords', 'throttle', 'locations', 'authorization', 'deliver', 'cookie', 'csrf', 'loadUser', 'protectAll',
  'tokenMemory', 'usernameField', 'presentUser', 'routes'
] as const satisfies readonly (keyof JwtSessionOptions)[]

/**
 * Checks the options, fills in the defaults, and copies all of it, so that nothing changes afterwards.
 * @param prefix of the context that the plugin is registered in.
 */
export function readOptions (given: JwtSessionOptions | VerifyOnlyOptions, prefix = ''): Settings {
  const verifyOnly = readVerifyOnly(given)
  const options = verifyOnly?.options ?? given as JwtSessionOptions
  refuseUnknown('options', options, KNOWN)
  const keys = verifyOnly?.keys ?? readKeys(options, true)
  const passwords = options.passwords ?? bcryptPasswords()
  const store = options.revocationStore ?? memoryStore()
  const usernameField = readUsernameField(options.usernameField ?? 'username')
  const routes = readRoutes(options.routes ?? {}, usernameField, keys.keys.some(({ publicJwk }) => publicJwk !== undefined))
  requireMethods('userLookup', options.userLookup, ['findByUsername', 'findById'])
  if (options.userLookup.updatePasswordHash !== undefined) requireMethods('userLookup', options.userLookup, ['updatePasswordHash'])
  requireMethods('passwords', passwords, ['hash', 'verify'])
  requireMethods('revocationStore', store, ['read', 'write', 'list'])
  if (routes.register !== undefined) requireMethods('userLookup', options.userLookup, ['create'])
  for (const name of ['claims', 'presentUser'] as const) {
    if (options[name] !== undefined && typeof options[name] !== 'function') throw optionInvalid(name, 'is not a function', 'Give a function of the user')
  }
  if (options.claimsSchema !== undefined && options.claimsSchema?.type !== 'object') {
    throw optionInvalid('claimsSchema', 'is not a schema of an object', 'Make it with Type.Object of @sinclair/typebox')
  }
  const { refresh, logout } = routes
  const refreshPaths = [refresh, logout].flatMap((route) => route === undefined ? [] : [`${prefix}${routes.prefix}${route.url}`])
  const transport = readTransport(options, verifyOnly === undefined ? refreshPaths : undefined)

  const clockTolerance = readDuration('clockTolerance', options.clockTolerance ?? 0, 0, '5m')
  const accessLifetime = readAccessLifetime(options.accessToken ?? {})
  const storeTimeout = readDuration('storeTimeout', options.storeTimeout ?? '1s', '10ms', '1m')
  const maxStaleness = options.session?.maxStaleness === undefined
    ? undefined
    : readDuration('session.maxStaleness', options.session.maxStaleness, '100ms', '5m')
  if (maxStaleness !== undefined && store.watch !== undefined) {
    throw optionInvalid('session.maxStaleness', 'has no effect on a store with watch', 'Leave it out: this store tells of revocations itself')
  }

  return Object.freeze({
    keys,
    header: readHeader(options.header),
    verifyOnly,
    tokenMemory: readTokenMemory(options.tokenMemory ?? 10_000),
    saysNotBefore: options.accessToken?.nbf === true,
    tokens: {
      issuer: readText('issuer', options.issuer ?? NAME),
      audience: readAudience(options.audience ?? NAME),
      clockTolerance,
      accessLifetime
    },
    sessions: readSession(options, transport.cookies === undefined ? 'strict' : 'tolerant'),
    store,
    storeTimeout,
    watch: store.watch?.bind(store) ?? (maxStaleness === undefined ? undefined : assumedWatch),
    live: {
      lease: 1.5,
      maxAge: store.watch === undefined ? maxStaleness ?? 0 : 60,
      maxEntries: 100_000,
      burial: accessLifetime + clockTolerance,
      deadline: storeTimeout
    },
    userLookup: options.userLookup,
    passwords,
    throttle: readThrottle(options.throttle),
    transport,
    loadUser: readLoadUser('loadUser', options.loadUser) ?? false,
    protectAll: readBoolean('protectAll', options.protectAll ?? false),
    claims: options.claims ?? (() => ({})),
    claimsSchema: options.claimsSchema as TSchema | undefined,
    presentUser: options.presentUser,
    usernameField,
    routes,
    warnings: [
      ...warningsOf(keys.keys),
      ...(options.cookie?.secure === false ? ['cookies travel without TLS, because cookie.secure is false: use it for development only'] : [])
    ]
  })
}

function readAccessLifetime (accessToken: NonNullable<JwtSessionOptions['accessToken']>): number {
  refuseUnknown('accessToken', accessToken, ['expiresIn', 'nbf'])
  if (typeof (accessToken.nbf ?? false) !== 'boolean') throw optionInvalid('accessToken.nbf', 'is not a boolean', 'Give true or false')
  return Math.floor(readDuration('accessToken.expiresIn', accessToken.expiresIn ?? '15m', '1s', '1d'))
}

function readSession (options: JwtSessionOptions, usualRotation: 'strict' | 'tolerant'): Settings['sessions'] {
  const { session = {}, rotation = usualRotation } = options
  refuseUnknown('session', session, ['idleTimeout', 'absoluteTimeout', 'maxPerSubject', 'maxStaleness'])
  const absoluteTimeout = readDuration('session.absoluteTimeout', session.absoluteTimeout ?? '30d', '1s', '1y')
  const idleTimeout = readDuration('session.idleTimeout', session.idleTimeout ?? Math.min(604_800, absoluteTimeout), '1s', '1y')
  if (idleTimeout > absoluteTimeout) {
    throw optionInvalid('session.idleTimeout', 'is longer than session.absoluteTimeout', 'Make it shorter, or the other longer')
  }
  const { maxPerSubject = Infinity } = session
  if (maxPerSubject !== Infinity && (!Number.isSafeInteger(maxPerSubject) || maxPerSubject < 1)) {
    throw optionInvalid('session.maxPerSubject', 'is not a whole number of at least 1', 'Leave it out for no limit')
  }
  if (!Object.hasOwn(INTERVALS, rotation)) throw optionInvalid('rotation', "is neither 'strict' nor 'tolerant'", 'Give one of these')
  return { idleTimeout, absoluteTimeout, maxPerSubject, intervals: INTERVALS[rotation] }
}

function readTokenMemory (limit: unknown): number {
  if (limit === false) return 0
  if (!Number.isSafeInteger(limit) || (limit as number) < 1 || (limit as number) > 1_000_000) {
    throw optionInvalid('tokenMemory', 'is not a whole number from 1 to 1,000,000', 'Give one, or false for no memory')
  }
  return limit as number
}

function readText (option: string, value: unknown): string {
  if (typeof value !== 'string' || value.trim() === '') throw optionInvalid(option, 'is not a string that says something', 'Leave it out for the default')
  return value
}

function readAudience (value: unknown): readonly string[] {
  const audience: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (audience.length === 0) throw optionInvalid('audience', 'is an empty list', 'Leave it out for the default')
  return audience.map((member) => readText('audience', member))
}

function requireMethods (option: string, value: unknown, methods: readonly string[]): void {
  const members = value as Record<string, unknown> | null | undefined
  const missing = methods.find((method) => typeof members?.[method] !== 'function')
  if (missing !== undefined) throw optionInvalid(option, `has no method ${missing}`, `Give an object with ${methods.join(', ')}`)
}

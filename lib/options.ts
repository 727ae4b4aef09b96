import type { TSchema } from '@sinclair/typebox'
import { optionInvalid } from './errors'
import { readHeader } from './header-fields'
import { readKeys, warningsOf } from './keys'
import { readDuration, refuseUnknown } from './option-values'
import { bcryptPasswords } from './passwords'
import { INTERVALS } from './policy'
import { assumedWatch } from './stores/assumed'
import { memoryStore } from './stores/memory'
import { headerTransport } from './transports/header'
import { readVerifyOnly } from './verify-only'
import type { RouteSettings, Settings } from './parts'
import type { JwtSessionOptions, RouteOption, VerifyOnlyOptions } from '../types'

const NAME = 'fastify-jwt-session'

const KNOWN = [
  'secret', 'keys', 'header', 'userLookup', 'claims', 'claimsSchema', 'issuer', 'audience', 'accessToken', 'clockTolerance', 'session', 'rotation',
  'revocationStore', 'storeTimeout', 'passwords', 'locations', 'usernameField', 'presentUser', 'routes'
] as const satisfies readonly (keyof JwtSessionOptions)[]

/** Checks the options, fills in the defaults, and copies all of it, so that nothing changes afterwards. */
export function readOptions (given: JwtSessionOptions | VerifyOnlyOptions): Settings {
  const verifyOnly = readVerifyOnly(given)
  const options = verifyOnly?.options ?? given as JwtSessionOptions
  refuseUnknown('options', options, KNOWN)
  const keys = verifyOnly?.keys ?? readKeys(options, true)
  const passwords = options.passwords ?? bcryptPasswords()
  const store = options.revocationStore ?? memoryStore()
  requireMethods('userLookup', options.userLookup, ['findByUsername', 'findById'])
  requireMethods('passwords', passwords, ['hash', 'verify'])
  requireMethods('revocationStore', store, ['read', 'write', 'list'])
  for (const name of ['claims', 'presentUser'] as const) {
    if (options[name] !== undefined && typeof options[name] !== 'function') throw optionInvalid(name, 'is not a function', 'Give a function of the user')
  }
  if (options.claimsSchema !== undefined && options.claimsSchema?.type !== 'object') {
    throw optionInvalid('claimsSchema', 'is not a schema of an object', 'Make it with Type.Object of @sinclair/typebox')
  }
  readLocations(options.locations ?? ['header'])

  const clockTolerance = readDuration('clockTolerance', options.clockTolerance ?? 0, 0, '5m')
  const accessLifetime = readAccessLifetime(options.accessToken ?? {})
  const storeTimeout = readDuration('storeTimeout', options.storeTimeout ?? '1s', '10ms', '1m')
  const maxStaleness = options.session?.maxStaleness === undefined
    ? undefined
    : readDuration('session.maxStaleness', options.session.maxStaleness, '100ms', '5m')

  return Object.freeze({
    keys,
    header: readHeader(options.header),
    verifyOnly,
    saysNotBefore: options.accessToken?.nbf === true,
    tokens: {
      issuer: readText('issuer', options.issuer ?? NAME),
      audience: readAudience(options.audience ?? NAME),
      clockTolerance,
      accessLifetime
    },
    sessions: readSession(options),
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
    transport: headerTransport,
    claims: options.claims ?? (() => ({})),
    claimsSchema: options.claimsSchema as TSchema | undefined,
    presentUser: options.presentUser,
    usernameField: readUsernameField(options.usernameField ?? 'username'),
    routes: readRoutes(options.routes ?? {}, keys),
    warnings: warningsOf(keys.keys)
  })
}

function readAccessLifetime (accessToken: NonNullable<JwtSessionOptions['accessToken']>): number {
  refuseUnknown('accessToken', accessToken, ['expiresIn', 'nbf'])
  if (typeof (accessToken.nbf ?? false) !== 'boolean') throw optionInvalid('accessToken.nbf', 'is not a boolean', 'Give true or false')
  return Math.floor(readDuration('accessToken.expiresIn', accessToken.expiresIn ?? '15m', '1s', '1d'))
}

function readSession ({ session = {}, rotation = 'strict' }: JwtSessionOptions): Settings['sessions'] {
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

function readText (option: string, value: unknown): string {
  if (typeof value !== 'string' || value.trim() === '') throw optionInvalid(option, 'is not a string that says something', 'Leave it out for the default')
  return value
}

function readAudience (value: unknown): readonly string[] {
  const audience: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (audience.length === 0) throw optionInvalid('audience', 'is an empty list', 'Leave it out for the default')
  return audience.map((member) => readText('audience', member))
}

function readLocations (locations: unknown): void {
  if (!Array.isArray(locations) || locations.length !== 1 || locations[0] !== headerTransport.location) {
    throw optionInvalid('locations', "is something else than ['header']", 'Leave it out')
  }
}

function readUsernameField (field: unknown): string {
  if (typeof field !== 'string' || !/^[A-Za-z]\w{0,63}$/.test(field) || ['password', 'constructor', 'prototype'].includes(field)) {
    throw optionInvalid('usernameField', 'cannot be the name of a member of the login body', "Give a name like 'email'")
  }
  return field
}

function readRoutes (routes: NonNullable<JwtSessionOptions['routes']>, { keys }: Settings['keys']): Settings['routes'] {
  refuseUnknown('routes', routes, ['prefix', 'login', 'refresh', 'logout', 'jwks'])
  const { prefix = '' } = routes
  if (prefix !== '') readPath('routes.prefix', prefix)
  const { jwks = false } = routes
  if (jwks !== false && !keys.some(({ publicJwk }) => publicJwk !== undefined)) {
    throw optionInvalid('routes.jwks', 'has no public key to show', 'Give keys with RS256, PS256, ES256 or EdDSA, or leave it off')
  }
  return {
    prefix,
    login: readRoute('routes.login', routes.login, '/login'),
    refresh: readRoute('routes.refresh', routes.refresh, '/refresh'),
    logout: readRoute('routes.logout', routes.logout, '/logout'),
    jwks: readRoute('routes.jwks', jwks === true ? {} : jwks, '/.well-known/jwks.json')
  }
}

function readRoute (option: string, route: RouteOption = {}, standard: string): RouteSettings | undefined {
  if (route === false) return undefined
  const { path = standard, config = {} } = typeof route === 'string' ? { path: route } : route
  if (typeof route !== 'string') refuseUnknown(option, route, ['path', 'config'])
  return { url: readPath(option, path), config }
}

function readPath (option: string, path: unknown): string {
  if (typeof path !== 'string' || !/^\/[^\s?#:*]*$/.test(path)) {
    throw optionInvalid(option, 'is not a path', "Give one like '/auth', without parameters")
  }
  return path
}

function requireMethods (option: string, value: unknown, methods: readonly string[]): void {
  const members = value as Record<string, unknown> | null | undefined
  const missing = methods.find((method) => typeof members?.[method] !== 'function')
  if (missing !== undefined) throw optionInvalid(option, `has no method ${missing}`, `Give an object with ${methods.join(', ')}`)
}

import { randomBytes } from 'node:crypto'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import * as claims from './claims'
import * as errors from './errors'
import * as hooks from './hooks'
import * as bcrypt from './passwords/bcrypt'
import * as scrypt from './passwords/scrypt'
import * as memory from './stores/memory'
import { timing } from './clock'
import { createEvents } from './events'
import { createKeyRing } from './key-ring'
import { createJwtSession } from './jwt-session'
import { readOptions } from './options'
import { PARTS, type Parts } from './parts'
import { followKeys } from './remote-keys'
import { addRoutes } from './routes'
import { protectAll } from './protect-all'
import { createSessions } from './sessions'
import { boundedStore } from './stores/bounded'
import { liveSessions } from './stores/live'
import { loggedWatch } from './stores/logged'
import { pruneRegularly } from './stores/prune'
import { createThrottle } from './throttle'
import { tokenMemory } from './token-memory'
import { createTokens } from './tokens'
import { trusting, withoutIssuing } from './verify-only'
import * as contract from '../types'

/**
 * Adds sessions to a Fastify application: `POST /login`, `POST /refresh` and `POST /logout`, the guards `app.authenticate` and
 * `app.requireClaims`, and `app.jwtSession`.
 *
 * Await the registration before you declare guarded routes, and give guards in an array.
 * @throws `OPTION_INVALID` when an option cannot be used.
 * @example
 * ```ts
 * import Fastify from 'fastify'
 * import jwtSession from 'fastify-jwt-session'
 *
 * const app = Fastify()
 * await app.register(jwtSession, {
 *   secret: process.env.JWT_SECRET, // openssl rand -base64 32
 *   userLookup: {
 *     findByUsername: (username) => db.users.byEmail(username), // { id, passwordHash, … } or null
 *     findById: (id) => db.users.byId(id)
 *   },
 *   claims: ({ roles }) => ({ roles })
 * })
 * app.get('/me', { onRequest: [app.authenticate] }, ({ auth }) => ({ id: auth.subject }))
 * ```
 */
async function fastifyJwtSession (
  app: FastifyInstance,
  // The signature of register in types/fastify.ts is the one to match; through Fastify's own, no claims would do.
  options: contract.JwtSessionOptions<contract.SessionUser, never> | contract.VerifyOnlyOptions
): Promise<void> {
  const settings = readOptions(options, app.prefix)
  for (const warning of settings.warnings) app.log.warn(`fastify-jwt-session: ${warning}`)

  await settings.transport.cookies?.prepare(app)
  const { events, emit, isHeard } = createEvents(app.log)
  const ring = createKeyRing({ ...settings.keys, header: settings.header })
  const issued = createTokens(ring, settings.tokens)
  const access = tokenMemory(issued.access, settings.tokenMemory, settings.tokens.clockTolerance)
  ring.onRetire(access.clear)
  const tokens = { ...issued, access }
  app.addHook('onClose', async () => await settings.passwords.close?.())
  const decoyHash = await settings.passwords.hash(randomBytes(24).toString('base64url'))

  const store = boundedStore(settings.store, settings.storeTimeout, {
    failed (err) { app.log.error({ err }, 'fastify-jwt-session: the store of sessions does not answer') },
    listener: () => isHeard('store.called') ? (call) => emit('store.called', call) : undefined
  })
  const live = liveSessions({ read: store.read, own: memory.ownStore(settings.store), watch: settings.watch && loggedWatch(settings.watch, app.log) }, settings.live, timing)
  const stopPruning = pruneRegularly(settings.store, app.log, timing)
  const remote = settings.verifyOnly?.remote && followKeys(ring, settings.verifyOnly.remote, app.log, timing)
  // Before anything else can fail: what was started has to stop.
  app.addHook('onClose', async () => {
    stopPruning()
    remote?.close()
    try {
      await live.close()
    } finally {
      await settings.store.close?.()
    }
  })
  const sessions = createSessions(store, live, settings.sessions, emit)
  const throttle = createThrottle(settings.throttle, {
    store: settings.store,
    timeout: settings.storeTimeout,
    tell (err) { app.log.error({ err }, 'fastify-jwt-session: login attempts cannot be counted for all nodes, so this one counts alone') }
  })
  const parts: Parts = Object.freeze<Parts>({
    settings,
    events,
    emit,
    ring,
    tokens,
    remote,
    decoyHash,
    throttle,
    sessions: settings.verifyOnly?.isTrusting ? trusting(sessions) : sessions,
    memory: () => ({ ...live.memory(), tokens: access.count() })
  })

  app.decorate(PARTS as unknown as string, parts)
  app.decorate('authenticate', hooks.authenticate)
  app.decorate('requireClaims', hooks.requireClaims)
  const session = createJwtSession(parts)
  app.decorate('jwtSession', settings.verifyOnly === undefined ? session : withoutIssuing(session, settings.verifyOnly.isTrusting))
  app.decorateRequest('auth', null as unknown as contract.Auth)

  // Before any error handler, so that the challenge survives whatever the application answers.
  app.addHook('onError', (request, reply, error, done) => {
    if (errors.isSessionError(error)) {
      reply.headers(error.headers)
      const { code, statusCode } = error
      emit('request.refused', { code, statusCode, route: request.routeOptions.url ?? null })
    }
    done()
  })
  if (settings.protectAll) protectAll(app)
  await remote?.start()
  await addRoutes(app, parts)
}

// One CommonJS build serves require and import: a namespace that only declares, and exports that Node can read off the text.
declare namespace fastifyJwtSession {
  export import AccessTokenClaims = contract.AccessTokenClaims
  export import AttemptBudget = contract.AttemptBudget
  export import Auth = contract.Auth
  export import Authenticate = contract.Authenticate
  export import AuthenticateOptions = contract.AuthenticateOptions
  export import AuthorizationOptions = contract.AuthorizationOptions
  export import Awaitable = contract.Awaitable
  export import BodySchema = contract.BodySchema
  export import ChooseDelivery = contract.ChooseDelivery
  export import ClaimChoice = contract.ClaimChoice
  export import ClaimRequirement = contract.ClaimRequirement
  export import ClaimRequirements = contract.ClaimRequirements
  export import ClaimsContext = contract.ClaimsContext
  export import CookieOptions = contract.CookieOptions
  export import CsrfOptions = contract.CsrfOptions
  export import Delivery = contract.Delivery
  export import Device = contract.Device
  export import Duration = contract.Duration
  export import GuardHook = contract.GuardHook
  export import GuardRequest = contract.GuardRequest
  export import HeaderFields = contract.HeaderFields
  export import JwkSet = contract.JwkSet
  export import JwkSetLocation = contract.JwkSetLocation
  export import JwtSession = contract.JwtSession
  export import JwtSessionOptions = contract.JwtSessionOptions
  export import Key = contract.Key
  export import KeyAlgorithm = contract.KeyAlgorithm
  export import KeyInfo = contract.KeyInfo
  export import KeyMaterial = contract.KeyMaterial
  export import KeyRing = contract.KeyRing
  export import PairKey = contract.PairKey
  export import NewUser = contract.NewUser
  export import OneTimeToken = contract.OneTimeToken
  export import OneTimeTokenClaims = contract.OneTimeTokenClaims
  export import Passwords = contract.Passwords
  export import PasswordsCall = contract.PasswordsCall
  export import RefreshRefusal = contract.RefreshRefusal
  export import RequireClaims = contract.RequireClaims
  export import RevocationReason = contract.RevocationReason
  export import RevocationStore = contract.RevocationStore
  export import RouteOption = contract.RouteOption
  export import Secret = contract.Secret
  export import SecretKey = contract.SecretKey
  export import Session = contract.Session
  export import SessionEventMap = contract.SessionEventMap
  export import SessionEvents = contract.SessionEvents
  export import SessionMemory = contract.SessionMemory
  export import SessionRecord = contract.SessionRecord
  export import SessionRef = contract.SessionRef
  export import SessionState = contract.SessionState
  export import SessionUser = contract.SessionUser
  export import StoreCall = contract.StoreCall
  export import ThrottleOptions = contract.ThrottleOptions
  export import TokenAnswer = contract.TokenAnswer
  export import TokenClaims = contract.TokenClaims
  export import TokenLocation = contract.TokenLocation
  export import UserLookup = contract.UserLookup
  export import VerifyOnlyOptions = contract.VerifyOnlyOptions
  export import WatchHandlers = contract.WatchHandlers
  export import SessionError = errors.SessionError
  export import SessionErrorCode = errors.SessionErrorCode
  export import SessionErrorName = errors.SessionErrorName
  export import authenticate = hooks.authenticate
  export import requireClaims = hooks.requireClaims
  export import anyOf = claims.anyOf
  export import allOf = claims.allOf
  export import memoryStore = memory.memoryStore
  export import bcryptPasswords = bcrypt.bcryptPasswords
  export import scryptPasswords = scrypt.scryptPasswords
  export import isSessionError = errors.isSessionError
  export import sessionErrors = errors.sessionErrors
  export { fastifyJwtSession as default, fastifyJwtSession }
}

fp(fastifyJwtSession, { name: 'fastify-jwt-session', fastify: '5.x' })

module.exports = fastifyJwtSession
module.exports.default = fastifyJwtSession
module.exports.fastifyJwtSession = fastifyJwtSession
module.exports.authenticate = hooks.authenticate
module.exports.requireClaims = hooks.requireClaims
module.exports.anyOf = claims.anyOf
module.exports.allOf = claims.allOf
module.exports.memoryStore = memory.memoryStore
module.exports.bcryptPasswords = bcrypt.bcryptPasswords
module.exports.scryptPasswords = scrypt.scryptPasswords
module.exports.isSessionError = errors.isSessionError
module.exports.sessionErrors = errors.sessionErrors

export = fastifyJwtSession

import { authorize, findToken, withUser } from './access'
import { after, isPromise } from './awaitable'
import { compileRequirements } from './claims'
import { now } from './clock'
import { optionInvalid, sessionError } from './errors'
import { readBoolean, readDuration, readLoadUser, refuseUnknown } from './option-values'
import { PARTS, type Parts } from './parts'
import { readLocations } from './transport-options'
import type { Auth, Authenticate, AuthenticateOptions, Awaitable, ClaimRequirements, GuardHook, GuardRequest, RequireClaims, TokenLocation } from '../types'

/** A request as guards see it: what they read, and the one thing that they write. */
type Guarded = GuardRequest & { auth: Auth | null }

type Done = (error?: Error) => void

/** What a guard asks of whoever makes a request. */
interface Demands {
  readonly optional: boolean
  readonly locations: readonly TokenLocation[] | undefined
  readonly loadUser: AuthenticateOptions['loadUser'] | undefined
  /** Answers what it was given, which then is the request's, or throws. */
  approve (auth: Auth): Awaitable<Auth>
}

const noDemands: Demands = { optional: false, locations: undefined, loadUser: undefined, approve: (auth) => auth }

/**
 * A hook that makes demands. It finishes without a promise when there is nothing to wait for, and it may be called without
 * `done`, in which case it answers a promise.
 */
function guard (name: string, demands: Demands): GuardHook {
  function hook (request: GuardRequest, _reply: unknown, done?: Done): void | Promise<void> {
    if (done === undefined) return (async () => { await identify(request as Guarded, demands) })()
    let pending: Awaitable<void>
    try {
      pending = identify(request as Guarded, demands)
    } catch (error) {
      done(error as Error)
      return
    }
    if (isPromise(pending)) pending.then(() => done(), done)
    else done()
  }
  // Fastify prints the names of hooks: printRoutes({ includeHooks: true }).
  return Object.defineProperty(hook, 'name', { value: name }) as GuardHook
}

function partsOf (request: GuardRequest): Parts {
  const parts = (request.server as { [PARTS]?: Parts })[PARTS]
  if (parts === undefined) {
    throw optionInvalid('A guarded route', 'is outside of every context that the plugin is registered in', 'Register the plugin there or above')
  }
  return parts
}

/** Fills `request.auth`, as far as a guard before did not, with what the demands do not refuse. */
function identify (request: Guarded, demands: Demands): Awaitable<void> {
  return after(request.auth ?? authenticated(request, demands), accept, request, demands)
}

function authenticated (request: Guarded, { optional, locations }: Demands): Awaitable<Auth | null> {
  const parts = partsOf(request)
  const found = findToken(parts, request, locations)
  if (found !== undefined) return authorize(parts, found.token, found.location, request)
  if (optional) return null
  throw sessionError('TOKEN_MISSING')
}

function accept (auth: Auth | null, request: Guarded, demands: Demands): Awaitable<void> {
  if (auth === null) return
  const locations: readonly Auth['source'][] | undefined = demands.locations
  // What a guard before accepted may come from where this one does not look.
  if (locations !== undefined && !locations.includes(auth.source)) throw sessionError('TOKEN_MISSING')
  return after(demands.approve(auth), complete, request, demands)
}

function complete (auth: Auth, request: Guarded, { loadUser }: Demands): Awaitable<void> {
  const parts = partsOf(request)
  // The option is for the first guard: one that was told otherwise has its way.
  const wanted = loadUser ?? (request.auth === null && parts.settings.loadUser)
  return after(withUser(parts, auth, wanted), keep, request)
}

function keep (auth: Auth, request: Guarded): void {
  request.auth = auth
}

const plainAuthenticate = guard('authenticate', noDemands)

function demanding (requirements: AuthenticateOptions): GuardHook {
  refuseUnknown('authenticate', requirements, ['optional', 'fresh', 'maxAge', 'locations', 'audience', 'loadUser'])
  const { optional = false, fresh = false, audience } = requirements
  for (const [name, value] of Object.entries({ optional, fresh })) readBoolean(`authenticate.${name}`, value)
  const maxAge = requirements.maxAge === undefined ? Infinity : readDuration('authenticate.maxAge', requirements.maxAge, 1, '1y')
  if (optional && (fresh || maxAge !== Infinity)) {
    throw optionInvalid('authenticate.optional', 'contradicts fresh and maxAge: who may be absent cannot have logged in lately', 'Choose one')
  }
  if (audience !== undefined && (typeof audience !== 'string' || audience === '')) throw optionInvalid('authenticate.audience', 'is not a string that says something', 'Name one audience')
  const locations = requirements.locations === undefined ? undefined : readLocations('authenticate.locations', requirements.locations)
  const loadUser = readLoadUser('authenticate.loadUser', requirements.loadUser)

  function approve (auth: Auth): Auth {
    if (audience !== undefined && ![auth.claims.aud].flat().includes(audience)) throw sessionError('TOKEN_INVALID')
    if ((fresh && !auth.fresh) || now() - auth.authTime > maxAge) {
      throw sessionError('REAUTHENTICATION_REQUIRED', { maxAge: fresh ? 0 : maxAge })
    }
    return auth
  }

  return guard('authenticate', { optional, locations, loadUser, approve })
}

/**
 * The guard `authenticate`, independent of any instance: it finds the plugin by the route, and refuses when there is none.
 *
 * @example
 * ```ts
 * import { authenticate } from 'fastify-jwt-session'
 *
 * app.get('/me', { onRequest: [authenticate] }, ({ auth }) => ({ id: auth.subject }))
 * app.post('/email', { onRequest: [authenticate({ maxAge: '10m' })] }, () => ({ changed: true }))
 * ```
 */
export const authenticate = function authenticate (
  ...args: [AuthenticateOptions?] | [GuardRequest, unknown, Done]
): unknown {
  if (args.length >= 2) return plainAuthenticate(...args as [GuardRequest, unknown, Done])
  return args[0] === undefined ? plainAuthenticate : demanding(args[0] as AuthenticateOptions)
} as Authenticate

/**
 * The guard factory `requireClaims`, independent of any instance like `authenticate`.
 *
 * @example
 * ```ts
 * import { requireClaims } from 'fastify-jwt-session'
 *
 * app.get('/reports', { onRequest: [requireClaims({ roles: 'admin' })] }, () => ({ reports: [] }))
 * ```
 */
export const requireClaims: RequireClaims = (requirements: ClaimRequirements) => {
  const check = compileRequirements(requirements)
  return guard('requireClaims', { ...noDemands, approve: (auth) => after(check(auth.claims), requireSufficient, auth) })
}

function requireSufficient (isSufficient: boolean, auth: Auth): Auth {
  if (!isSufficient) throw sessionError('CLAIMS_INSUFFICIENT')
  return auth
}

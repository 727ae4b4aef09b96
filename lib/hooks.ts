import { after, isPromise } from './awaitable'
import { compileRequirements } from './claims'
import { now } from './clock'
import { optionInvalid, sessionError } from './errors'
import { authorize } from './access'
import { readDuration, refuseUnknown } from './option-values'
import { PARTS, type Parts } from './parts'
import type { Auth, Authenticate, AuthenticateOptions, Awaitable, ClaimRequirements, GuardHook, GuardRequest, RequireClaims } from '../types'

/** A request as guards see it: what they read, and the one thing that they write. */
type Guarded = GuardRequest & { auth: Auth | null }

type Done = (error?: Error) => void

/**
 * A hook out of a check. It finishes without a promise when the check does, and it may be called without `done`, in which case
 * it answers a promise.
 */
function guard (name: string, check: (request: Guarded) => Awaitable<void>): GuardHook {
  function hook (request: GuardRequest, _reply: unknown, done?: Done): void | Promise<void> {
    if (done === undefined) return (async () => { await check(request as Guarded) })()
    let pending: Awaitable<void>
    try {
      pending = check(request as Guarded)
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

/** Authenticates, unless a guard before did. */
function identify (request: Guarded, isOptional: boolean): Awaitable<void> {
  if (request.auth != null) return
  const parts = partsOf(request)
  const { transport } = parts.settings
  const token = transport.accessToken(request)
  if (token === undefined) {
    if (isOptional) return
    throw sessionError('TOKEN_MISSING')
  }
  return after(authorize(parts, token, transport.location), (auth) => { request.auth = auth })
}

const plainAuthenticate = guard('authenticate', (request) => identify(request, false))

function demanding (requirements: AuthenticateOptions): GuardHook {
  refuseUnknown('authenticate', requirements, ['optional', 'fresh', 'maxAge'])
  const { optional = false, fresh = false } = requirements
  for (const [name, value] of Object.entries({ optional, fresh })) {
    if (typeof value !== 'boolean') throw optionInvalid(`authenticate.${name}`, 'is not a boolean', 'Give true or false')
  }
  const maxAge = requirements.maxAge === undefined ? Infinity : readDuration('authenticate.maxAge', requirements.maxAge, 1, '1y')
  if (optional && (fresh || maxAge !== Infinity)) {
    throw optionInvalid('authenticate.optional', 'contradicts fresh and maxAge: who may be absent cannot have logged in lately', 'Choose one')
  }

  return guard('authenticate', (request) => after(identify(request, optional), () => {
    const { auth } = request
    if (auth === null) return
    if ((fresh && !auth.fresh) || now() - auth.authTime > maxAge) {
      throw sessionError('REAUTHENTICATION_REQUIRED', { maxAge: fresh ? 0 : maxAge })
    }
  }))
}

/** The guard `authenticate`, independent of any instance: it finds the plugin by the route, and refuses when there is none. */
export const authenticate = function authenticate (
  ...args: [AuthenticateOptions?] | [GuardRequest, unknown, Done]
): unknown {
  if (args.length >= 2) return plainAuthenticate(...args as [GuardRequest, unknown, Done])
  return args[0] === undefined ? plainAuthenticate : demanding(args[0] as AuthenticateOptions)
} as Authenticate

/** The guard factory `requireClaims`, independent of any instance like `authenticate`. */
export const requireClaims: RequireClaims = (requirements: ClaimRequirements) => {
  const check = compileRequirements(requirements)
  return guard('requireClaims', (request) => after(identify(request, false), () =>
    after(check((request.auth as Auth).claims), (holds) => {
      if (!holds) throw sessionError('CLAIMS_INSUFFICIENT')
    })))
}

import type { FastifyInstance } from 'fastify'
import { authenticate } from './hooks'
import type { GuardHook } from '../types'

/** Guards every route of a context, also those declared before, but for what their `config` says. */
export function protectAll (app: FastifyInstance): void {
  const guards = new WeakMap<object, GuardHook>()

  function guardOf (config: { authenticate?: unknown } | undefined): GuardHook {
    const requirements = config?.authenticate as object | undefined
    if (requirements === undefined) return authenticate
    const guard = guards.get(requirements) ?? authenticate(requirements)
    guards.set(requirements, guard)
    return guard
  }

  // What makes no sense is refused as the route is declared.
  app.addHook('onRoute', ({ config }) => { if (config?.authenticate !== false) guardOf(config) })
  app.addHook('onRequest', function authenticateAll (request, reply, done) {
    const { config } = request.routeOptions
    // Where there is no route, there is nothing to guard.
    if (request.is404 || config.authenticate === false) done()
    else guardOf(config)(request, reply, done)
  })
}

import { isUtf8 } from 'node:buffer'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import type { ValueErrorIterator } from '@sinclair/typebox/errors'
import type { TSchema } from '@sinclair/typebox'
import type { FastifyError, FastifyInstance, FastifySchemaValidationError } from 'fastify'
import { sessionError } from '../errors'
import { documented } from '../openapi'
import { jwksRoute } from './jwks'
import { loginRoute } from './login'
import { logoutRoute } from './logout'
import { refreshRoute } from './refresh'
import { registerRoute } from './register'
import { sessionsRoutes } from './sessions'
import type { Parts } from '../parts'

/** Above every body that makes sense here. */
const BODY_LIMIT = 16_384

const makers = { login: loginRoute, refresh: refreshRoute, logout: logoutRoute, register: registerRoute, sessions: sessionsRoutes, jwks: jwksRoute }

/**
 * The routes, in a context of their own: whatever the host parses, coerces or adds, they read JSON, take it as it stands, and
 * forbid caches to keep the answer.
 */
export async function addRoutes (app: FastifyInstance, parts: Parts): Promise<void> {
  const { prefix, ...routes } = parts.settings.routes
  const errorHandlerSoFar = app.errorHandler

  await app.register(async (scope) => {
    const parse = scope.getDefaultJsonParser('error', 'error')
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer', bodyLimit: BODY_LIMIT }, (request, body, done) => {
      // Many clients label even an empty body.
      if (body.length === 0) return done(null, undefined)
      // Read as text, different bytes would become the same password.
      if (!isUtf8(body)) return done(sessionError('REQUEST_INVALID'))
      parse(request, body.toString(), (cause, value) => done(cause && sessionError('REQUEST_INVALID', { cause }), value))
    })
    scope.setValidatorCompiler<TSchema>(({ schema }) => {
      const compiled = TypeCompiler.Compile(schema)
      return (value) => compiled.Check(value) || { error: faultsOf(compiled.Errors(value)) }
    })
    scope.setSchemaErrorFormatter(() => sessionError('REQUEST_INVALID'))
    scope.addHook('onRequest', (_request, reply, done) => {
      reply.header('cache-control', 'no-store')
      done()
    })

    // Fastify gives a route the error handler of the moment; this one looks for what the application has set since.
    scope.setErrorHandler((error, request, reply) => {
      if (app.errorHandler === errorHandlerSoFar) throw error
      return app.errorHandler(error as FastifyError, request, reply)
    })

    for (const [name, addRoute] of Object.entries(makers) as [keyof typeof makers, typeof loginRoute][]) {
      const route = routes[name]
      if (route !== undefined) addRoute(scope, parts, { ...route, config: documented(parts.settings, route.config) })
    }
  }, { prefix })
}

/** Where a value is wrong, for `error.validation`. The value itself is left out: it may be a password. */
function faultsOf (errors: ValueErrorIterator): FastifySchemaValidationError[] {
  return Array.from(errors).map(({ path, message, type }) =>
    ({ instancePath: path, message, keyword: String(type), schemaPath: path, params: {} }))
}

import { TypeGuard, type TObject } from '@sinclair/typebox'
import type { FastifyContextConfig } from 'fastify'
import { optionInvalid } from './errors'
import { refuseUnknown } from './option-values'
import type { JwtSessionOptions, RouteOption } from '../types'

/** A route that is switched on. */
export interface RouteSettings {
  readonly url: string
  readonly config: FastifyContextConfig
  /** What the application wants in the body beside what the route reads. */
  readonly bodySchema: TObject | undefined
}

type RouteName = 'login' | 'refresh' | 'logout' | 'register' | 'sessions' | 'jwks'

/** The routes after the check of their options. */
export type RoutesSettings = { readonly prefix: string } & { readonly [Name in RouteName]: RouteSettings | undefined }

/** @param hasPublicKeys without which there is nothing for `jwks` to show. */
export function readRoutes (routes: NonNullable<JwtSessionOptions['routes']>, usernameField: string, hasPublicKeys: boolean): RoutesSettings {
  refuseUnknown('routes', routes, ['prefix', 'login', 'refresh', 'logout', 'register', 'sessions', 'jwks'])
  const { prefix = '', login = true, refresh = true, logout = true, register = false, sessions = false, jwks = false } = routes
  if (jwks !== false && !hasPublicKeys) {
    throw optionInvalid('routes.jwks', 'has no public key to show', 'Give keys with RS256, PS256, ES256 or EdDSA, or leave it off')
  }
  if (prefix !== '') readPath('routes.prefix', prefix)
  return {
    prefix,
    login: readRoute('routes.login', login, '/login', [usernameField, 'password']),
    refresh: readRoute('routes.refresh', refresh, '/refresh', ['refresh_token']),
    logout: readRoute('routes.logout', logout, '/logout', ['refresh_token', 'everywhere']),
    register: readRoute('routes.register', register, '/register', [usernameField, 'password']),
    sessions: readRoute('routes.sessions', sessions, '/sessions', undefined),
    jwks: readRoute('routes.jwks', jwks, '/.well-known/jwks.json', undefined)
  }
}

/** @param own members of the body, which a schema of the application cannot change; undefined where there is no body. */
function readRoute (option: string, route: RouteOption, standard: string, own: readonly string[] | undefined): RouteSettings | undefined {
  if (route === false) return undefined
  const { path = standard, config = {}, bodySchema } = typeof route === 'string' ? { path: route } : route === true ? {} : route
  if (typeof route === 'object') refuseUnknown(option, route, own === undefined ? ['path', 'config'] : ['path', 'config', 'bodySchema'])
  // The routes guard themselves, where they have to be.
  return { url: readPath(option, path), config: { ...config, authenticate: false }, bodySchema: bodySchema === undefined ? undefined : readBodySchema(`${option}.bodySchema`, bodySchema, own as readonly string[]) }
}

function readBodySchema (option: string, schema: unknown, own: readonly string[]): TObject {
  if (!TypeGuard.IsObject(schema)) throw optionInvalid(option, 'is not a schema of an object', 'Make it with Type.Object of @sinclair/typebox')
  const taken = Object.keys(schema.properties).find((name) => own.includes(name) || name === '__proto__')
  if (taken !== undefined) throw optionInvalid(option, `has ${taken}, which the route reads itself`, 'Leave it out')
  return schema
}

function readPath (option: string, path: unknown): string {
  if (typeof path !== 'string' || !/^\/[^\s?#:*]*$/.test(path)) {
    throw optionInvalid(option, 'is not a path', "Give one like '/auth', without parameters")
  }
  return path
}

/** The name of the first member of the login body. */
export function readUsernameField (field: unknown): string {
  if (typeof field !== 'string' || !/^[A-Za-z]\w{0,63}$/.test(field) || ['password', 'constructor', 'prototype'].includes(field)) {
    throw optionInvalid('usernameField', 'cannot be the name of a member of the login body', "Give a name like 'email'")
  }
  return field
}

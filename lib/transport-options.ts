import { optionInvalid } from './errors'
import { readBoolean, refuseUnknown } from './option-values'
import { cookieTransport, type CookiePlugin, type CookieTransport } from './transports/cookie'
import { headerLocation } from './transports/header'
import { parameterLocation } from './transports/parameter'
import type { CsrfSettings } from './csrf'
import type { AuthorizationOptions, ChooseDelivery, CookieOptions, CsrfOptions, GuardRequest, TokenLocation } from '../types'

/** How tokens travel, after the check of the options. */
export interface TransportSettings {
  /** Where guards look, in order. */
  readonly locations: readonly TokenLocation[]
  /** The access token at a location, unverified; undefined when there is none. */
  readonly find: Readonly<Record<TokenLocation, (request: GuardRequest) => string | undefined>>
  /** Undefined when no tokens travel in cookies. */
  readonly cookies: CookieTransport | undefined
  /** How a login is answered. */
  readonly deliver: ChooseDelivery
  readonly csrf: CsrfSettings
  /** Where tokens travel, in the words of OpenAPI. */
  readonly securitySchemes: Readonly<Record<string, object>>
}

interface TransportOptions {
  locations?: readonly TokenLocation[]
  authorization?: AuthorizationOptions
  cookie?: CookieOptions
  csrf?: CsrfOptions
  deliver?: 'body' | 'cookie' | ChooseDelivery
}

const LOCATIONS = ['header', 'cookie', 'query', 'body']
const SAME_SITE = ['lax', 'strict', 'none']

/** The token of RFC 9110 section 5.6.2, which names of headers and of cookies are. */
const NAME = /^[\w!#$%&'*+.^`|~-]{1,64}$/
const DOMAIN = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/i
const PATH = /^\/[\x21-\x3a\x3c-\x7e]*$/

/** @param paths of the routes that take the refresh token; undefined where nobody issues one. */
export function readTransport (options: TransportOptions, paths: readonly string[] | undefined): TransportSettings {
  const locations = readLocations('locations', options.locations ?? ['header'])
  const parameter = locations.find((location) => location === 'query' || location === 'body')
  if (parameter !== undefined) throw optionInvalid('locations', `holds '${parameter}'`, `Give it to the routes that need it: authenticate({ locations: ['${parameter}'] })`)

  const usesCookies = locations.includes('cookie')
  const { deliver = locations.every((location) => location === 'cookie') ? 'cookie' : 'body' } = options
  if (deliver !== 'body' && deliver !== 'cookie' && typeof deliver !== 'function') {
    throw optionInvalid('deliver', "is neither 'body' nor 'cookie' nor a function", 'Give one of these')
  }
  for (const [name, isAsked] of Object.entries({ deliver: deliver !== 'body', cookie: options.cookie !== undefined, csrf: options.csrf !== undefined })) {
    if (isAsked && !usesCookies) throw optionInvalid(name, 'is about cookies, which guards do not read', "Add 'cookie' to locations")
  }

  const cookies = usesCookies ? readCookie(options.cookie ?? {}, paths) : undefined
  return Object.freeze({
    locations,
    find: { header: readAuthorization(options.authorization ?? {}), cookie: findCookie, query: parameterLocation('query'), body: parameterLocation('body') },
    cookies,
    deliver: typeof deliver === 'function' ? checked(deliver) : () => deliver,
    csrf: readCsrf(options.csrf ?? {}),
    securitySchemes: { bearerAuth: bearerScheme(options.authorization ?? {}), ...cookies?.securitySchemes }
  })

  function findCookie (request: GuardRequest): string | undefined {
    if (cookies === undefined) throw optionInvalid('authenticate.locations', "holds 'cookie', and there are no cookies", "Add 'cookie' to the option locations")
    return cookies.findAccess(request)
  }
}

/** A list of places to look at. */
export function readLocations (option: string, locations: unknown): readonly TokenLocation[] {
  if (!Array.isArray(locations) || locations.length === 0 || new Set(locations).size < locations.length ||
    !locations.every((location) => LOCATIONS.includes(location))) {
    throw optionInvalid(option, 'is not a list of locations', `Name each once: ${LOCATIONS.join(', ')}`)
  }
  return Object.freeze([...locations])
}

function readAuthorization (authorization: AuthorizationOptions): (request: GuardRequest) => string | undefined {
  refuseUnknown('authorization', authorization, ['header', 'schemes'])
  const { header = 'authorization', schemes = ['Bearer'] } = authorization
  readName('authorization.header', header)
  if (!Array.isArray(schemes) || schemes.length === 0) throw optionInvalid('authorization.schemes', 'is not a list of schemes', "Give one like ['Bearer']")
  for (const scheme of schemes) if (scheme !== '') readName('authorization.schemes', scheme)
  return headerLocation(header.toLowerCase(), schemes)
}

function bearerScheme ({ header = 'authorization', schemes: [scheme] = ['Bearer'] }: AuthorizationOptions): object {
  return header.toLowerCase() === 'authorization' && scheme?.toLowerCase() === 'bearer'
    ? { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' }
    : { type: 'apiKey', in: 'header', name: header }
}

function readCookie (cookie: CookieOptions, paths: readonly string[] | undefined): CookieTransport {
  refuseUnknown('cookie', cookie, ['accessName', 'refreshName', 'refreshPaths', 'sameSite', 'secure', 'domain', 'persistent'])
  const { secure = true, persistent = true, sameSite = 'lax', domain, refreshPaths = paths ?? [] } = cookie
  for (const [name, value] of Object.entries({ secure, persistent })) readBoolean(`cookie.${name}`, value)
  if (!SAME_SITE.includes(sameSite)) throw optionInvalid('cookie.sameSite', `is none of ${SAME_SITE.join(', ')}`, 'Give one of these')
  if (sameSite === 'none' && !secure) throw optionInvalid('cookie.sameSite', "is 'none' without secure, which browsers drop", 'Leave secure out')
  if (domain !== undefined && (typeof domain !== 'string' || !DOMAIN.test(domain))) throw optionInvalid('cookie.domain', 'is not a domain', "Give one like 'example.com'")

  const accessPrefix = domain === undefined ? '__Host-' : '__Secure-'
  const { accessName = secure ? `${accessPrefix}access_token` : 'access_token', refreshName = secure ? '__Secure-refresh_token' : 'refresh_token' } = cookie
  for (const [option, name] of Object.entries({ 'cookie.accessName': accessName, 'cookie.refreshName': refreshName })) {
    readName(option, name)
    if (!secure && /^__(?:host|secure)-/i.test(name)) throw optionInvalid(option, 'promises TLS', 'Choose another name, or leave secure out')
  }
  if (accessName === refreshName) throw optionInvalid('cookie.refreshName', 'is also the name of the other cookie', 'Choose another')
  if (domain !== undefined && /^__host-/i.test(accessName)) throw optionInvalid('cookie.domain', 'contradicts a name with __Host-', 'Choose one')

  if (!Array.isArray(refreshPaths) || (refreshPaths.length === 0 && paths !== undefined) || !refreshPaths.every((path) => typeof path === 'string' && PATH.test(path))) {
    throw optionInvalid('cookie.refreshPaths', 'is not a list of paths', "Give some like ['/auth/refresh', '/auth/logout']")
  }
  if (/^__host-/i.test(refreshName) && (domain !== undefined || refreshPaths.some((path) => path !== '/'))) {
    throw optionInvalid('cookie.refreshName', 'promises a path of / and no domain', "Set cookie.refreshPaths to ['/'], or choose another name")
  }
  const settings = { accessName, refreshName, refreshPaths: [...new Set(refreshPaths)], sameSite, secure, domain, persistent }
  return cookieTransport(settings, loadPlugin())
}

function loadPlugin (): CookiePlugin {
  try {
    // Loaded only here, because it is an optional peer.
    return require('@fastify/cookie') as CookiePlugin
  } catch (cause) {
    if ((cause as { code?: string }).code !== 'MODULE_NOT_FOUND') throw cause
    throw optionInvalid('locations', "holds 'cookie', and @fastify/cookie is not installed", 'Run npm install @fastify/cookie')
  }
}

function readCsrf (csrf: CsrfOptions): CsrfSettings {
  refuseUnknown('csrf', csrf, ['header', 'trustedOrigins'])
  const { header = 'x-csrf-token', trustedOrigins = [] } = csrf
  readName('csrf.header', header)
  if (!Array.isArray(trustedOrigins) || !trustedOrigins.every(isOrigin)) {
    throw optionInvalid('csrf.trustedOrigins', 'is not a list of origins', "Write them as browsers do: ['https://app.example.com'], in lower case, without a path or the usual port")
  }
  return Object.freeze({ header: header.toLowerCase(), trustedOrigins: Object.freeze([...trustedOrigins]) })
}

function isOrigin (text: unknown): boolean {
  return typeof text === 'string' && /^https?:[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text
}

function readName (option: string, name: unknown): void {
  if (typeof name !== 'string' || !NAME.test(name)) throw optionInvalid(option, 'is not a name', 'Use letters, digits, - and _')
}

function checked (choose: ChooseDelivery): ChooseDelivery {
  return (request) => {
    const delivery = choose(request)
    if (delivery !== 'body' && delivery !== 'cookie') throw optionInvalid('deliver', "returned neither 'body' nor 'cookie'", 'Return one of these, and no promise')
    return delivery
  }
}

import { timingSafeEqual } from 'node:crypto'
import { sessionError } from './errors'
import type { GuardRequest } from '../types'

export interface CsrfSettings {
  readonly header: string
  readonly trustedOrigins: readonly string[]
}

/** Methods that change nothing (RFC 9110 section 9.2.1). */
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

/**
 * Refuses a request that another site made a browser send with its cookies. What the browser says of the request decides
 * (Fetch Metadata, then `Origin`). For clients that say neither, the token of the session has to be repeated in a header, unless
 * `isPreflighted`: no page can send what asks for a preflight to another site unasked.
 *
 * A token that is repeated has to be right in any case.
 * @throws `CSRF_FAILED`.
 */
export function refuseForgery (settings: CsrfSettings, request: GuardRequest, expected: string | undefined, isPreflighted = false): void {
  if (SAFE.has(request.method) && !isHandshake(request)) return
  const repeated = request.headers[settings.header]
  if (repeated !== undefined && !isEqual(repeated, expected)) throw sessionError('CSRF_FAILED')
  if (!isFromOwnPages(settings, request) && repeated === undefined && !isPreflighted) throw sessionError('CSRF_FAILED')
}

/**
 * Whether the browser says that a page of the application made the request; false when nothing is said.
 * @throws `CSRF_FAILED` when another page did.
 */
export function isFromOwnPages ({ trustedOrigins }: CsrfSettings, { headers, protocol, host }: GuardRequest): boolean {
  const { 'sec-fetch-site': site, origin } = headers
  if (site === undefined && origin === undefined) return false
  if (typeof origin === 'string' && trustedOrigins.includes(origin)) return true
  if (site === undefined ? isOrigin(origin, protocol, host) : site === 'same-origin' || site === 'none') return true
  throw sessionError('CSRF_FAILED')
}

/** Behind a proxy that ends TLS unannounced, a request looks like plain HTTP: only then the scheme proves nothing. */
function isOrigin (origin: unknown, protocol: string, host: string): boolean {
  return host !== '' && (isAt('https', ':443') || (protocol === 'http' && isAt('http', ':80')))

  // Proxies may name the port that browsers leave out.
  function isAt (scheme: string, usualPort: string): boolean {
    const own = `${scheme}://${host.toLowerCase()}`
    return origin === own || `${String(origin)}${usualPort}` === own
  }
}

/** Whether a page asks for a WebSocket, which no rule of browsers keeps it from doing anywhere (RFC 6455 section 10.2). */
function isHandshake ({ headers: { upgrade } }: GuardRequest): boolean {
  return upgrade !== undefined && /websocket/i.test(String(upgrade))
}

function isEqual (repeated: unknown, expected: string | undefined): boolean {
  if (typeof repeated !== 'string' || expected === undefined) return false
  const [one, other] = [Buffer.from(repeated), Buffer.from(expected)]
  return one.length === other.length && timingSafeEqual(one, other)
}

/** Whether a request is labelled as JSON, which no page can send to another site without being asked first. */
export function isJson ({ headers }: GuardRequest): boolean {
  return /^application\/json *(?:;|$)/i.test(String(headers['content-type']))
}

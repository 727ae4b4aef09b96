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
  if (SAFE.has(request.method)) return
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
  const own = host.toLowerCase()
  return origin === `https://${own}` || (protocol === 'http' && origin === `http://${own}`)
}

function isEqual (repeated: unknown, expected: string | undefined): boolean {
  if (typeof repeated !== 'string' || expected === undefined) return false
  const [one, other] = [Buffer.from(repeated), Buffer.from(expected)]
  return one.length === other.length && timingSafeEqual(one, other)
}

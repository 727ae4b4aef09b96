import type { FastifyInstance } from 'fastify'
import type { Answer } from './app'

interface Cookie {
  name: string
  value: string
  path: string
  /** Infinity for one that ends with the browser. */
  expiresAt: number
  attributes: string
}

/** A client with a jar of cookies, over TLS, that keeps what RFC 6265bis asks of browsers. */
export interface Browser {
  send (method: string, url: string, request?: { body?: unknown, headers?: Record<string, string> }): Promise<Answer>
  login (username?: string, password?: string): Promise<Answer>
  /** The `Cookie` header for a path; empty when there are none. */
  cookieFor (path: string): string
  /** What is in the jar, by name and path. */
  jar: Map<string, Cookie>
  /** The `Set-Cookie` headers of an answer. */
  setBy (answer: Answer): string[]
}

/** @param told what the browser says of every request; by default that a page of the application makes it. */
export function browserOf (app: FastifyInstance, told: Record<string, string> = { 'sec-fetch-site': 'same-origin' }): Browser {
  const jar: Browser['jar'] = new Map()

  function keep (header: string): void {
    const [pair = '', ...parts] = header.split('; ')
    const name = pair.slice(0, pair.indexOf('='))
    const value = pair.slice(name.length + 1)
    const attributes = new Map(parts.map((part) => part.split('=', 2) as [string, string]))
    const path = attributes.get('Path') ?? '/'
    const isSecure = attributes.has('Secure')
    if (name.length + value.length > 4096) return
    if (/^__(?:Host|Secure)-/i.test(name) && !isSecure) return
    if (/^__Host-/i.test(name) && (path !== '/' || attributes.has('Domain'))) return

    const maxAge = attributes.get('Max-Age')
    const expiresAt = maxAge === undefined ? Infinity : Date.now() / 1000 + Number(maxAge)
    jar.set(`${name} ${path}`, { name, value, path, expiresAt, attributes: parts.join('; ') })
  }

  function cookieFor (url: string): string {
    const path = url.split('?', 1)[0] as string
    for (const [key, { expiresAt }] of jar) if (expiresAt <= Date.now() / 1000) jar.delete(key)
    return Array.from(jar.values())
      .filter((cookie) => path === cookie.path || path.startsWith(cookie.path.replace(/\/?$/, '/')))
      .sort((one, other) => other.path.length - one.path.length)
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ')
  }

  const send: Browser['send'] = async (method, url, { body, headers } = {}) => {
    const cookie = cookieFor(url)
    const response = await app.inject({
      method: method as 'GET',
      url,
      ...(body === undefined ? {} : { payload: body as object }),
      headers: { ...(cookie === '' ? {} : { cookie }), ...(method === 'GET' ? {} : told), ...headers } as Record<string, string>
    })
    const isJson = response.payload !== '' && String(response.headers['content-type']).startsWith('application/json')
    const code = isJson ? (response.json() as { code?: string } | null)?.code?.replace('FST_JWT_SESSION_', '') : undefined
    const answer = Object.assign(response, { code })
    setBy(answer).forEach(keep)
    return answer
  }

  return {
    send,
    cookieFor,
    jar,
    setBy,
    login: async (username = 'alice', password = 'wonderland') => await send('POST', '/login', { body: { username, password } })
  }
}

function setBy ({ headers }: Answer): string[] {
  return [headers['set-cookie'] ?? []].flat()
}

import type { Network } from './network'

/** What a browser keeps in cookies, and what pages cannot see. */
export interface CookieJar {
  fetch: typeof fetch
  access?: string | undefined
  refresh?: string | undefined
}

const json = (status: number, body: object) => new Response(JSON.stringify(body), { status })
const refused = (status: number, name: string) => json(status, { statusCode: status, code: `FST_JWT_SESSION_${name}` })

/**
 * A browser and the cookie transport together, before a server that knows the header only: tokens stay in the jar, pages get a
 * CSRF token that belongs to the session, and one that is repeated has to be right.
 */
export function cookieJar (net: Network): CookieJar {
  const csrfToken = () => `csrf-of-${JSON.parse(atob((jar.refresh as string).split('.')[1] as string)).sid}`

  const jar: CookieJar = {
    async fetch (input, init) {
      const request = new Request(input, init)
      const { pathname } = new URL(request.url)
      if (request.headers.has('authorization')) throw new Error('A page sent a token')
      if (request.credentials !== 'include') return await net.fetch(request)

      const repeated = request.headers.get('x-csrf-token')
      if (request.method !== 'GET' && repeated !== null && (jar.refresh === undefined || repeated !== csrfToken())) return refused(403, 'CSRF_FAILED')
      if (jar.access !== undefined) request.headers.set('authorization', `Bearer ${jar.access}`)
      if (pathname === '/refresh') {
        if (await request.clone().text() !== '{}') return refused(400, 'REQUEST_INVALID')
        if (jar.refresh === undefined) return refused(401, 'TOKEN_MISSING')
        return await keep(await net.fetch(request, { body: JSON.stringify({ refresh_token: jar.refresh }) }))
      }
      const answer = await keep(await net.fetch(request))
      if (pathname === '/logout' && answer.ok) jar.access = jar.refresh = undefined
      return answer
    }
  }

  async function keep (answer: Response): Promise<Response> {
    const body = answer.ok ? await answer.clone().json().catch(() => ({})) as Record<string, string> : {}
    if (body.access_token === undefined) return answer
    jar.access = body.access_token
    jar.refresh = body.refresh_token
    return json(answer.status, { csrf_token: csrfToken(), expires_in: body.expires_in })
  }

  return jar
}

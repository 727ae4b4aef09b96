// One file without imports, types included: a page loads it as it is built. tsconfig.client.json makes an ES module of it.

/** Where a client keeps the tokens of its session: `localStorage`, or something like it that answers at once. */
export interface TokenStorage {
  getItem (key: string): string | null
  setItem (key: string, value: string): void
}

/** The options of a client. Each may be left out. */
export interface SessionClientOptions {
  /**
   * What the paths of the API begin with: `'https://api.example.com'`, or `'/api'` in a page. Tokens go to addresses below it and
   * nowhere else. Outside of a page it is required, and absolute.
   * @default '/'
   */
  baseUrl?: string | undefined
  /** How the server delivers tokens: in the body of its answers, or in cookies. @default 'body' */
  transport?: 'body' | 'cookie' | undefined
  /** The paths of the routes below `baseUrl`, with their prefix. @default '/login', '/refresh' and '/logout' */
  routes?: { login?: string, refresh?: string, logout?: string } | undefined
  /**
   * What all pages share that are to have one session; every script of theirs can read it. In cookie transport it holds no token
   * but that against CSRF. One that is copied with a tab, like `sessionStorage`, makes two clients with the same refresh token:
   * the server takes that for theft.
   * @default memory: the session ends with the page, or with cookies is looked for anew
   */
  storage?: TokenStorage | undefined
  /** Called once when the session has ended in any way but a `logout` of this client. It is time to show the login. */
  onEnd?: (() => void) | undefined
  /** Makes the requests. @default the global fetch */
  fetch?: typeof fetch | undefined
}

/** A session, from the side of the client. */
export interface SessionClient {
  /** False when there certainly is no session. In cookie transport a page that was just loaded cannot see whether there is one. */
  readonly active: boolean
  /**
   * Posts credentials as JSON and keeps the tokens of the answer. Rejects when a good answer holds none.
   * @param path another route that answers tokens, such as `'/register'`.
   * @returns the answer, whatever its status: 401 with `INVALID_CREDENTIALS`, for one.
   */
  login (credentials: object, path?: string): Promise<Response>
  /**
   * Does what `fetch` does, with the access token, and once more with a new one when that has expired. A path that begins with
   * `/` is looked for below `baseUrl`. Bodies are kept to be sent again, streams included.
   *
   * When new tokens cannot be had at the moment, that answer (429 or 5xx) or error is what you get; the session goes on.
   */
  fetch (input: string | URL | Request, init?: RequestInit): Promise<Response>
  /**
   * Forgets the tokens, whatever happens, and tells the server; `everywhere` ends all sessions of the subject.
   * @throws when the server did not confirm it: the session may live on there.
   */
  logout (options?: { everywhere?: boolean }): Promise<void>
}

/**
 * Keeps a session in a browser, or in Node, and its tokens new: once for any number of requests, and of pages that share a storage.
 *
 * @example
 * ```ts
 * import { createSessionClient } from 'fastify-jwt-session/client'
 *
 * const session = createSessionClient({ storage: localStorage, onEnd: () => showLogin() })
 *
 * await session.login({ username: 'ada', password: 'lovelace' })
 * const answer = await session.fetch('/me') // refreshes first when the access token has expired
 * console.log(await answer.json())
 * ```
 */
export function createSessionClient ({
  baseUrl = '', transport, storage, onEnd, fetch: request = globalThis.fetch,
  routes: { login = '/login', refresh = '/refresh', logout = '/logout' } = {}
}: SessionClientOptions = {}): SessionClient {
  const page = globalThis as unknown as Page
  const isCookie = transport === 'cookie'
  const [member, header, scheme, cookies] = isCookie
    ? ['csrf_token', 'x-csrf-token', '', { credentials: 'include' }] as const
    : ['access_token', 'authorization', 'Bearer '] as const
  const base = new URL(baseUrl.replace(/\/?$/, '/'), page.location?.href).href
  const key = `jwt ${base}`
  let held: string | undefined
  let renewing: Promise<Response | undefined> | undefined

  // A state is one string, so that it is compared and replaced in one step: access token and refresh token, or CSRF token and a
  // number. A space alone: there may be a session in cookies. Nothing: there is none.
  const read = (): string => (storage ? storage.getItem(key) : held) ?? (isCookie ? ' ' : '')
  const write = (state: string): void => { storage ? storage.setItem(key, state) : held = state }

  const send = async (asked: Request, state: string): Promise<Response> => {
    const [token] = state.split(' ')
    const copy = asked.clone()
    if (token) copy.headers.set(header, scheme + token)
    const answer = await request(copy, cookies)
    // Another page may have replaced the session. Without a token, what the browser says of the request decides.
    return token && await tells(answer, 'CSRF') ? send(asked, '') : answer
  }

  /** No credential follows a redirect, and no lock is held for ever. */
  const post = (path: string, body: object, state: string): Promise<Response> => send(new Request(base + path.slice(1), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    redirect: 'error',
    keepalive: true,
    signal: AbortSignal.timeout(30_000)
  }), state)

  const stateOf = async (answer: Response): Promise<string> => {
    const { [member]: token = '', refresh_token: next = Math.random() } = await answer.clone().json() as { [member in string]?: string }
    // A session that is older than its cookies has no CSRF token.
    if (!token && !isCookie) throw new Error('No token')
    return `${token} ${next}`
  }

  /** Replaces a state by a new one, or ends it; answers what refused to do either at the moment. */
  const renew = async (state: string): Promise<Response | undefined> => {
    // Another page was faster, or there is nothing to try with.
    if (read() !== state || !(state || isCookie)) return
    let next = state
    const ask = async (): Promise<Response> => {
      const answer = await post(refresh, { refresh_token: isCookie ? undefined : state.split(' ')[1] }, isCookie ? state : '')
      if (answer.ok) next = await stateOf(answer)
      else if (await tells(answer, '[RTS]')) next = ''
      return answer
    }
    // An answer that was lost on the way is asked for again.
    const answer = await ask().catch(ask)
    if (answer.status > 428) return answer
    if (read() === state && next !== state) {
      write(next)
      if (!next) onEnd?.()
    }
  }

  const renewOnce = (state: string, run = () => renew(state)): Promise<Response | undefined> =>
    (renewing ??= (page.navigator?.locks?.request(key, run) ?? run()).finally(() => { renewing = undefined }))

  if (onEnd) page.addEventListener?.('storage', (event) => { if (event.key === key && !read()) onEnd() })

  return {
    get active () { return !!read() },

    async login (credentials, path = login) {
      const answer = await post(path, credentials, '')
      if (answer.ok) write(await stateOf(answer))
      return answer
    },

    async fetch (input, init) {
      // Only a string has a first character.
      const asked = new Request((input as string)[0] === '/' ? base + (input as string).slice(1) : input, init)
      if (!asked.url.startsWith(base)) return request(asked)

      const state = read()
      const answer = await send(asked, state)
      if (!await tells(answer, '[TS]')) return answer
      const refusal = await renewOnce(state)
      if (refusal) return refusal.clone()
      const next = read()
      return next && next !== state ? send(asked, next) : answer
    },

    async logout (what = {}) {
      // To end everything takes an access token that has not expired.
      if (what.everywhere) await renewOnce(read()).catch(() => {})
      const state = read()
      write('')
      const answer = await post(logout, what, state)
      // A token that is none names no session that could go on.
      if (!answer.ok && (what.everywhere || !await tells(answer, 'T'))) throw new Error('Not logged out', { cause: answer })
    }
  }
}

/** What there is in a page, and in part elsewhere. */
interface Page {
  location?: { href: string }
  navigator?: { locks?: { request<Answer> (name: string, run: () => Promise<Answer>): Promise<Answer> } }
  addEventListener? (name: 'storage', listen: (event: { key: string | null }) => void): void
}

/** Whether an answer of 400, 401 or 403 tells an error of the plugin whose name begins so. */
async function tells (answer: Response, name: string): Promise<unknown> {
  return !answer.ok && answer.status < 404 && (await answer.clone().text()).match(`FST_JWT_SESSION_${name}`)
}

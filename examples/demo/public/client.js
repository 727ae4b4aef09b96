// The session of this page, in both transports. With the header, tokens are variables in here; with cookies, the browser keeps
// them and no script sees them.

export const session = {
  transport: 'header',
  /** 'out', 'in', or 'ended': then the last token is kept, to be shown that it is refused. */
  phase: 'out',
  accessToken: undefined,
  refreshToken: undefined,
  csrfToken: undefined,
  claims: undefined,
  lifetime: 60,
  expiresAt: 0,
  /** When the refresh token last became another one. */
  rotatedAt: 0,
  /** The refresh token as it was after the login, in the hands of a thief. */
  stolen: undefined,
  /** Why the session is about to end, where this page knows: the event may be here before the answer. */
  ending: undefined
}

/** Told of every answer, of new tokens, and of the end of the session. */
export const listeners = { answer (answer) {}, change () {}, over (why) {} }

/** Asks the server. An answer that is an error is an answer as well: nothing is thrown. */
export async function send (method, path, body, { token = session.accessToken, isQuiet = false } = {}) {
  const usesCookies = session.transport === 'cookie'
  const headers = { 'x-demo-transport': session.transport }
  if (body !== undefined) headers['content-type'] = 'application/json'
  if (usesCookies && method !== 'GET' && session.csrfToken !== undefined) headers['x-csrf-token'] = session.csrfToken
  if (!usesCookies && token) headers.authorization = `Bearer ${token}`

  const answer = { method, path, carried: usesCookies ? 'Cookie: …' : headers.authorization && `Authorization: ${shortened(headers.authorization)}`, status: 0, ok: false, headers: {}, body: undefined }
  try {
    const response = await fetch(path, { method, headers, body: JSON.stringify(body), credentials: usesCookies ? 'same-origin' : 'omit', cache: 'no-store' })
    const text = await response.text()
    Object.assign(answer, { status: response.status, ok: response.ok, body: text === '' ? undefined : JSON.parse(text) })
    for (const name of ['www-authenticate', 'retry-after']) if (response.headers.has(name)) answer.headers[name] = response.headers.get(name)
  } catch {
    answer.body = { message: 'The server does not answer.' }
  }
  answer.code = answer.body?.code?.replace('FST_JWT_SESSION_', '')
  if (!isQuiet) listeners.answer(answer)
  if (answer.code === 'SESSION_REVOKED' && session.phase === 'in' && token === session.accessToken) end('revoked')
  return answer
}

/** Logs in or registers. */
export async function enter (path, username, password) {
  const answer = await send('POST', path, { username, password }, { token: null })
  if (!answer.ok) return answer
  Object.assign(session, { accessToken: undefined, refreshToken: undefined, csrfToken: undefined })
  await adopt(answer.body)
  return answer
}

let pending

/** New tokens; once, however many ask for them meanwhile. */
export function refresh () {
  pending ??= renew().finally(() => { pending = undefined })
  return pending
}

async function renew () {
  const answer = await sendRefresh()
  if (answer.ok) await adopt(answer.body)
  else if (answer.code === 'REFRESH_TOKEN_INVALID') end('refused')
  return answer
}

/** What several tabs do that notice at the same moment that the access token has expired. */
export async function refreshAtOnce (count) {
  const answers = await Promise.all(Array.from({ length: count }, sendRefresh))
  const last = answers.findLast(({ ok }) => ok)
  if (last !== undefined) await adopt(last.body)
  else if (answers.some(({ code }) => code === 'REFRESH_TOKEN_INVALID')) end('refused')
  return answers
}

/** @param token a copy of the refresh token, where it is not the own one. */
export function sendRefresh (token = session.refreshToken) {
  return send('POST', '/refresh', session.transport === 'header' ? { refresh_token: token } : undefined, { token: null })
}

/** What needs a valid access token gets one first. */
export async function sendRenewed (...request) {
  if (session.phase === 'in' && Date.now() >= session.expiresAt) await refresh()
  return await send(...request)
}

async function adopt (tokens) {
  const before = session.claims
  if (session.transport === 'header') {
    Object.assign(session, { accessToken: tokens.access_token, refreshToken: tokens.refresh_token, claims: decode(tokens.access_token) })
  } else {
    session.csrfToken = tokens.csrf_token
    session.claims = (await send('GET', '/me', undefined, { isQuiet: true })).body?.claims
    localStorage.setItem('transport', 'cookie')
  }
  const { claims } = session
  Object.assign(session, { phase: 'in', lifetime: tokens.expires_in, expiresAt: Date.now() + tokens.expires_in * 1000 })
  if (claims?.sid !== before?.sid) session.stolen = { token: session.refreshToken, generation: claims?.gen }
  if (claims?.sid !== before?.sid || claims?.gen !== before?.gen) session.rotatedAt = Date.now()
  listeners.change()
}

/** Goes on with a session whose cookies have outlived the page. */
export async function restore () {
  if (localStorage.getItem('transport') !== 'cookie') return
  session.transport = 'cookie'
  const { status, body } = await send('GET', '/me', undefined, { isQuiet: true })
  if (status === 401) await refresh()
  if (status !== 200) return
  const { claims, expires_in: left } = body
  Object.assign(session, { phase: 'in', claims, csrfToken: claims.csrf, lifetime: claims.exp - claims.iat, expiresAt: Date.now() + left * 1000 })
}

/** The session is over: nothing renews it. */
export function end (why) {
  if (session.phase === 'ended') return
  session.phase = 'ended'
  localStorage.removeItem('transport')
  listeners.over(session.ending ?? why)
}

/** Ends the session, or all of them. */
export async function leave (everywhere) {
  session.ending = everywhere ? 'everywhere' : 'logout'
  const { ok } = await (everywhere ? sendRenewed('POST', '/logout', { everywhere }) : send('POST', '/logout'))
  if (ok) end()
  session.ending = undefined
  return ok
}

/** What a token says. Anyone who holds it can read it; whether it is true only the server knows. */
function decode (token) {
  const [, payload] = token.split('.')
  const bytes = Uint8Array.from(atob(payload.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0))
  return JSON.parse(new TextDecoder().decode(bytes))
}

/** Enough of a token to tell it from others. */
export function shortened (text) {
  return text.replace(/(eyJ[\w-]{6})[\w.-]+([\w-]{6})/g, '$1…$2')
}

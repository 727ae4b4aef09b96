import { setTimeout as pause } from 'node:timers/promises'
import { USER } from '../support/closing'
import { parse, reforge } from '../support/forge'
import type { Answer, CallOptions, SessionNode } from '../support/session-nodes'
import type { Ledger, Place } from './ledger'

interface Tokens { access_token: string, refresh_token: string }

/** A session that was ended with an acknowledgement. */
interface Ended { readonly token: string, readonly path: string, readonly at: number, readonly by: SessionNode, readonly why: string }

/** The nodes over one store, and what is sent to them. */
export interface World {
  readonly place: Place
  readonly nodes: readonly SessionNode[]
  readonly ledger: Ledger
  /** From 0 to 1. */
  readonly random: () => number
  readonly isOver: () => boolean
  /** Resolves when requests may be sent. */
  readonly gate: () => Promise<void>
}

const SESSION_END_MS = 14.5 * 60_000
const { password } = USER

/** Everybody who talks to the nodes over one store; resolves when all of them have stopped. */
export async function talk (world: World): Promise<void> {
  const { place, nodes, ledger, random, isOver, gate } = world
  const ended: Ended[] = []
  const node = () => nodes[Math.floor(random() * nodes.length)] as SessionNode
  const think = (ms = 1000) => pause(ms * (0.5 + random()))

  async function call (kind: string, allowed: readonly string[], method: string, path: string, options: CallOptions = {}, at = node()): Promise<Answer> {
    await gate()
    const answer = await at.call(method, path, options)
    ledger.judge(place, kind, answer, allowed)
    return answer
  }

  /** Tries until there is an answer that is none of a store that is away. */
  async function insist (kind: string, allowed: readonly string[], method: string, path: string, options: CallOptions = {}, at = node()): Promise<Answer> {
    for (;;) {
      const answer = await call(kind, allowed, method, path, options, at)
      if (answer.status !== 503 || isOver()) return answer
      await think(300)
    }
  }

  const login = (username: string, context = 'tolerant', at = node()): Promise<Answer> =>
    insist('login', ['200'], 'POST', `/${context}/login`, { body: { username, password } }, at)
  const me = (kind: string, token: string, allowed: readonly string[], context = 'tolerant', at = node()): Promise<Answer> =>
    call(kind, allowed, 'GET', `/${context}/me`, { token }, at)
  const refreshWith = (kind: string, token: string, allowed: readonly string[], context = 'tolerant'): Promise<Answer> =>
    call(kind, allowed, 'POST', `/${context}/refresh`, { body: { refresh_token: token } })

  const dead = ['401 SESSION_REVOKED', '401 TOKEN_EXPIRED']

  /** A session has ended: nobody lets it in, now or later. */
  async function bury (token: string, context: string, at: number, by: SessionNode, why: string): Promise<void> {
    const session: Ended = { token, path: `/${context}/me`, at, by, why }
    ended.push(session)
    if (ended.length > 500) ended.shift()
    await probe(session, by)
    await Promise.all(nodes.filter((other) => other !== by).map(async (other) => {
      let [late, last] = [0, await probe(session, other)]
      for (; last !== undefined && last < 5000; last = await probe(session, other)) {
        late = last
        await pause(10)
      }
      if (!ledger.isExcused(place, at) && !ledger.hasLost(place, at - 61_000)) ledger.lateness.push(late)
    }))
  }

  /** Shows the access token of an ended session; how long after its end it was let in, if it was. */
  async function probe ({ token, path, at, by, why }: Ended, shownTo: SessionNode): Promise<number | undefined> {
    const answer = await call('guard, ended session', ['200', ...dead], 'GET', path, { token }, shownTo)
    if (answer.status !== 200) return undefined
    ledger.accepted(place, `a session that ended by ${why}`, parse(token).claims.auth_time as number * 1000, at, answer.sentAt, by === shownTo)
    return answer.sentAt - at
  }

  async function logout (tokens: Tokens, context: string, everywhere = false): Promise<void> {
    const by = node()
    const options = everywhere ? { token: tokens.access_token, body: { everywhere } } : { token: tokens.access_token, ...(random() < 0.5 ? { body: { refresh_token: tokens.refresh_token } } : {}) }
    // Who tries again may have expired meanwhile, which matters to `everywhere` alone, or be told that nothing is left.
    const answer = await insist('logout', everywhere ? ['204', ...dead] : ['204'], 'POST', `/${context}/logout`, options, by)
    if (answer.status === 204) await bury(tokens.access_token, context, Date.now(), by, 'logout')
  }

  /** Refreshes once, or several times at once; keeps the latest answer. Undefined: not now. `'ended'`: refused. */
  async function renew ({ refresh_token: token }: Tokens, bornAt: number): Promise<Tokens | 'ended' | undefined> {
    const times = random() < 0.2 ? 3 : 1
    const mayEnd = ledger.hasLost(place, bornAt) || Date.now() - bornAt > SESSION_END_MS
    const kind = times === 1 ? 'refresh, tolerant' : 'refresh, at once'
    const answers = await Promise.all(Array.from({ length: times }, () => refreshWith(kind, token, ['200', '401 REFRESH_TOKEN_INVALID'])))
    if (answers.some(({ status }) => status === 401)) {
      if (!mayEnd && !ledger.hasLost(place, bornAt)) ledger.violate(`an honest client at ${place} was logged out`)
      return 'ended'
    }
    const given = answers.filter(({ status }) => status === 200).map(({ body }) => ({ tokens: body as Tokens, generation: parse(body.refresh_token).claims.gen as number }))
    for (const one of given) {
      for (const other of given) {
        const isFork = one.generation === other.generation && one.tokens.refresh_token !== other.tokens.refresh_token
        if (isFork || Math.abs(one.generation - other.generation) > 1) ledger.violate(`refreshes at once at ${place} forked a session`)
      }
    }
    // Answers get lost; an honest client shows what it has once more.
    if (random() < 0.1) return undefined
    return given.sort((one, other) => other.generation - one.generation)[0]?.tokens
  }

  async function honest (name: string): Promise<void> {
    const answer = await login(name)
    if (answer.status !== 200) return
    const bornAt = answer.sentAt
    const until = Date.now() + (60 + 240 * random()) * 1000
    let tokens: Tokens = answer.body
    for (;;) {
      await think()
      const seen = await me('guard, live session', tokens.access_token, ['200', ...dead])
      if (seen.status === 200 && seen.body.id !== name) ledger.violate(`${name} was taken for ${seen.body.id}`)
      if (seen.code === 'SESSION_REVOKED') {
        if (!ledger.hasLost(place, bornAt) && Date.now() - bornAt < SESSION_END_MS) ledger.violate(`an honest client at ${place} was refused`)
        return
      }
      if (seen.code === 'TOKEN_EXPIRED' || random() < 0.02) {
        const renewed = await renew(tokens, bornAt)
        if (renewed === 'ended') return
        tokens = renewed ?? tokens
      }
      if (Date.now() > until || isOver()) break
    }
    await logout(tokens, 'tolerant')
  }

  async function strict (name: string): Promise<void> {
    const first: Tokens = (await login(name, 'strict')).body
    let tokens = first
    for (let round = 0; round < 3; round++) {
      if (tokens?.refresh_token === undefined) return
      await think()
      const answer = await refreshWith('refresh, strict', tokens.refresh_token, ['200', '401 REFRESH_TOKEN_INVALID'], 'strict')
      if (answer.status === 401 && !ledger.isExcused(place, answer.sentAt - 15_000) && !ledger.hasLost(place, answer.sentAt - 60_000)) {
        ledger.violate(`a strict client at ${place} that made no mistake was logged out`)
      }
      // Whether it was rotated nobody knows: README says to log in again.
      if (answer.status !== 200) return
      tokens = answer.body
    }
    await me('guard, live session', tokens.access_token, ['200', '401 SESSION_REVOKED'], 'strict')
    const by = node()
    const reuse = await insist('refresh, reused', ['401 REFRESH_TOKEN_INVALID'], 'POST', '/strict/refresh', { body: { refresh_token: first.refresh_token } }, by)
    if (reuse.status === 401) await bury(tokens.access_token, 'strict', Date.now(), by, 'reuse')
  }

  /** Of more sessions than a subject may have, the oldest ends. */
  async function crowd (name: string): Promise<void> {
    const { body } = await login(name, 'strict')
    for (let count = 0; count < 2; count++) await login(name, 'strict')
    await think()
    const by = node()
    const last = await login(name, 'strict', by)
    if (last.status === 200 && body?.access_token !== undefined) await bury(body.access_token, 'strict', Date.now(), by, 'the limit')
    await think(3000)
  }

  async function everywhere (name: string): Promise<void> {
    const sessions: Answer[] = []
    for (let count = 0; count < 3; count++) sessions.push(await login(name))
    const tokens = sessions.map(({ body }) => body as Tokens | undefined)
    if (tokens.some((one) => one?.access_token === undefined)) return
    await think()
    const by = node()
    const path = random() < 0.5 ? '/tolerant/logout' : `/tolerant/ban/${name}`
    const options = path.includes('ban') ? {} : { token: tokens[0]?.access_token as string, body: { everywhere: true } }
    const answer = await insist('revoke all', ['200', '204', ...dead], 'POST', path, options, by)
    const at = Date.now()
    if (answer.status < 300) await Promise.all(tokens.map((one) => bury(one?.access_token as string, 'tolerant', at, by, 'revocation of all')))
  }

  async function ofOne (name: string): Promise<void> {
    const [one, other] = [await login(name), await login(name)]
    if (one.status !== 200 || other.status !== 200) return
    const { access_token: token } = one.body as Tokens
    const list = await insist('sessions, list', ['200', ...dead], 'GET', '/tolerant/sessions', { token })
    const id = parse(other.body.access_token).claims.sid as string
    if (list.status === 200) {
      if (!list.body.some((session: { id: string }) => session.id === id) && !ledger.hasLost(place, one.sentAt)) ledger.violate(`a session is not in the list at ${place}`)
      const by = node()
      // Gone already: an earlier try that was answered by 503 was written after all.
      const answer = await insist('sessions, end', ['204', '404 SESSION_NOT_FOUND', ...dead], 'DELETE', `/tolerant/sessions/${id}`, { token }, by)
      if (answer.status === 204) await bury(other.body.access_token, 'tolerant', Date.now(), by, 'its owner')
    }
    await logout(one.body, 'tolerant', random() < 0.5)
  }

  async function wrong (name: string): Promise<void> {
    const send = (kind: string, allowed: readonly string[], body: unknown) => call(kind, allowed, 'POST', '/tolerant/login', { body })
    await send('login, wrong password', ['401 INVALID_CREDENTIALS', '429 TOO_MANY_ATTEMPTS'], { username: name, password: 'wrong guess' })
    await think()
    await send('login, unknown user', ['401 INVALID_CREDENTIALS'], { username: `nobody-${Math.floor(random() * 1e9)}`, password })
    await think()
    await send('login, malformed', ['400 REQUEST_INVALID', '400 FST_ERR_VALIDATION', '400 FST_ERR_CTP_INVALID_JSON_BODY'], random() < 0.5 ? '{"username":' : { username: [name], password })
    await think()
  }

  async function flood (name: string): Promise<void> {
    const statuses: number[] = []
    for (let count = 0; count < 7; count++) {
      const answer = await call('login, throttled', ['401 INVALID_CREDENTIALS', '429 TOO_MANY_ATTEMPTS'], 'POST', '/tolerant/login', { body: { username: name, password: 'wrong guess' } }, nodes[count % nodes.length])
      statuses.push(answer.status)
    }
    // While the shared counters fail, each node counts alone.
    if (!statuses.includes(429) && !ledger.isExcused(place, Date.now() - 60_000)) ledger.violate(`seven guesses at ${place} were all looked at`)
    await think(25_000)
  }

  async function junk (name: string): Promise<void> {
    const { body } = await login(name)
    if (body?.access_token === undefined) return
    const { access_token: token } = body as Tokens
    for (let count = 0; count < 10; count++) {
      await me('guard, forged token', reforge(token, { sub: 'admin-1' }, {}, 'x'.repeat(32)), ['401 TOKEN_INVALID'])
      await me('guard, no token', '', ['401 TOKEN_MISSING', '400 REQUEST_INVALID', '401 TOKEN_INVALID'])
      await me('guard, other context', token, ['401 TOKEN_INVALID'], 'strict')
      await call('guard, no header', ['401 TOKEN_MISSING'], 'GET', '/tolerant/me')
      await call('refresh, junk', ['401 REFRESH_TOKEN_INVALID'], 'POST', '/tolerant/refresh', { body: { refresh_token: token } })
      await think()
    }
    await pause(Math.max(0, 21_000 - 10_000))
    await me('guard, expired token', token, ['401 TOKEN_EXPIRED', '200', ...dead])
  }

  async function claims (name: string): Promise<void> {
    for (const [username, allowed] of [['admin-1', '200'], [name, '403 CLAIMS_INSUFFICIENT']] as const) {
      const { body } = await login(username)
      if (body?.access_token === undefined) continue
      for (let count = 0; count < 5; count++) {
        await call('guard, claims', [allowed, ...(ledger.hasLost(place, Date.now() - 60_000) ? dead : [])], 'GET', '/tolerant/admin', { token: body.access_token })
        await think()
      }
      await logout(body, 'tolerant')
    }
  }

  async function browser (name: string): Promise<void> {
    const own = { 'sec-fetch-site': 'same-origin' }
    const jar = new Map<string, string>()
    const keep = ({ cookies }: Answer) => { for (const cookie of cookies) jar.set(cookie.slice(0, cookie.indexOf('=')), cookie.slice(cookie.indexOf('=') + 1, cookie.indexOf(';'))) }
    const cookie = () => ({ cookie: Array.from(jar, ([key, value]) => `${key}=${value}`).join('; ') })
    const at = nodes[0] as SessionNode
    const bornAt = Date.now()
    const answer = await insist('cookie, login', ['200'], 'POST', '/cookie/login', { body: { username: name, password }, headers: own }, at)
    if (answer.status !== 200) return
    keep(answer)
    for (let count = 0; count < 15 && !isOver(); count++) {
      await think(2000)
      const lost = () => ledger.hasLost(place, bornAt)
      const seen = await call('cookie, guard', ['200', ...dead], 'GET', '/cookie/me', { headers: cookie() }, at)
      if (seen.code === 'SESSION_REVOKED' && !lost()) ledger.violate(`a browser at ${place} was logged out`)
      if (seen.status === 401) {
        await call('cookie, other site', ['403 CSRF_FAILED'], 'POST', '/cookie/refresh', { body: {}, headers: { ...cookie(), 'sec-fetch-site': 'cross-site' } }, at)
        const renewed = await call('cookie, refresh', ['200', '401 REFRESH_TOKEN_INVALID'], 'POST', '/cookie/refresh', { body: {}, headers: { ...cookie(), ...own } }, at)
        if (renewed.status === 401) {
          if (!lost()) ledger.violate(`a browser at ${place} was logged out at a refresh`)
          return
        }
        if (renewed.status === 200) keep(renewed)
      }
    }
    await insist('cookie, logout', ['204', ...dead], 'POST', '/cookie/logout', { body: {}, headers: { ...cookie(), ...own } }, at)
  }

  async function impatient (name: string): Promise<void> {
    await call('login, hung up', ['0 hung up', '200'], 'POST', '/tolerant/login', { body: { username: name, password }, hangUpMs: 1 + 30 * random() })
    await think(3000)
  }

  async function afterlife (): Promise<void> {
    await think(500)
    const session = ended[Math.floor(random() * ended.length)]
    if (session !== undefined) await probe(session, node())
  }

  let people = 0
  async function always (role: string, act: (name: string) => Promise<void>, count = 1): Promise<void> {
    await Promise.all(Array.from({ length: count }, async () => {
      while (!isOver()) {
        await think(500)
        await act(`${role}-${people++}`)
      }
    }))
  }

  await Promise.all([
    always('honest', honest, 8), always('strict', strict, 2), always('crowd', crowd), always('everywhere', everywhere), always('owner', ofOne), always('wrong', wrong), always('flood', flood),
    always('junk', junk), always('reader', claims), always('browser', browser), always('impatient', impatient), always('nobody', afterlife)
  ])
}

import type { Test } from 'tap'
import { memoryStore, type TokenAnswer, type TokenLocation } from '../../lib'
import { buildApp, lookupIn, makeUsers, type TestApp, type TestUser } from '../support/app'
import { stopClock, type Clock } from '../support/clock'
import { faultsOf, spellingsOf } from '../support/conduct'
import { parse } from '../support/forge'
import { makeKey, type TestKey } from '../support/keys'
import { listen, type Heard, type Wire } from '../support/wire'

export const ACCESS = '__Host-access_token'
const REFRESH = '__Secure-refresh_token'
const PASSWORDS: readonly string[] = ['wonderland', 'builder', 'hunter2hunter2', 'chocolate-cake', 'plain:']
export const OWN: Readonly<Record<string, string>> = { 'sec-fetch-site': 'same-origin' }
export const JSON_TYPE = { 'content-type': 'application/json' }

/** How tokens reach an application. */
export type Travel = 'header' | 'cookie' | 'both'

export interface Load { headers: Record<string, string>, body?: string }

/** One way to bring a token. */
export interface Carrier {
  readonly name: string
  /** Takes one text in so many. */
  readonly thinness: number
  readonly fits: (text: string) => boolean
  readonly load: (text: string) => Load
}

export interface Target extends TestApp, Wire {
  readonly travel: Travel
  readonly clock: Clock
  readonly key: TestKey
  /** What no answer and no line may hold; grows with every session that is opened. */
  readonly secrets: string[]
  readonly lines: string[]
  open (username?: string): Promise<TokenAnswer>
  isAlive (tokens: TokenAnswer): Promise<boolean>
}

/** An application that listens, with all its secrets known. */
export async function targetOf (t: Test, travel: Travel, key: TestKey): Promise<Target> {
  const clock = stopClock(t)
  const other = makeKey('EdDSA', 'other')
  const lines: string[] = []
  const secrets = [...PASSWORDS, ...spellingsOf(key.signs), ...spellingsOf(other.signs)]
  const users = makeUsers()
  const locations: readonly TokenLocation[] = travel === 'both' ? ['header', 'cookie'] : [travel]
  const server = await buildApp(t, {
    secret: undefined,
    keys: [key.option, { ...other.option, use: 'verify' }],
    locations,
    userLookup: {
      ...lookupIn(users),
      create (input) {
        const user = { id: `user-${String(input.username)}`, roles: [], passwordHash: input.passwordHash }
        users.set(String(input.username), user)
        return user
      }
    },
    revocationStore: slowed(),
    routes: { register: true, sessions: true }
  }, { forceCloseConnections: true, logger: { level: 'trace', stream: { write (line: string) { lines.push(line) } } } })
  const wire = await listen(t, server.app)

  return {
    ...server,
    ...wire,
    users,
    travel,
    clock,
    key,
    secrets,
    lines,
    async open (username = 'alice') {
      const tokens = await server.app.jwtSession.login(users.get(username) as TestUser)
      for (const token of [tokens.access_token, tokens.refresh_token]) secrets.push(...parse(token).parts.slice(1))
      if (tokens.csrf_token !== undefined) secrets.push(tokens.csrf_token)
      return tokens
    },
    async isAlive ({ access_token: token }) {
      const { status } = await wire.send('GET', '/me', carriersOf(travel)[0]?.load(token).headers)
      return status === 200
    }
  }
}

/** Sessions behind promises, so that requests overlap. */
function slowed (): ReturnType<typeof memoryStore> {
  const store = memoryStore()
  const later = async (): Promise<void> => { for (let turns = Math.random() * 4; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve)) }
  return {
    read: async (refs) => { await later(); return await store.read(refs) },
    write: async (record, expected) => { await later(); return await store.write(record, expected) },
    list: async (subject) => { await later(); return await store.list(subject) }
  }
}

// A value that Node would trim, or that ends before its end, is another one.
const inHeader = (text: string): boolean => !/[\0\r\n\x7f]|[\t ]$/.test(text)
const inCookie = (text: string): boolean => !/[\0\r\n\x7f;]/.test(text)
const bytesOf = (text: string): string => Buffer.from(text).toString('latin1')

/** The ways to bring an access token; those with two tokens have a sound one beside the other. */
export function carriersOf (travel: Travel, sound?: string): Carrier[] {
  const header: Carrier = { name: 'header', thinness: 1, fits: inHeader, load: (text) => ({ headers: { authorization: `Bearer ${bytesOf(text)}` } }) }
  const cookie: Carrier = { name: 'cookie', thinness: 1, fits: inCookie, load: (text) => ({ headers: { ...OWN, cookie: `a=b; ${ACCESS}=${bytesOf(text)}; c=d` } }) }
  if (travel !== 'both') return [travel === 'header' ? header : cookie]
  const beside = (name: string, one: (text: string) => Load, other: (text: string) => Load): Carrier[] => sound === undefined
    ? []
    // An empty cookie is one that was cleared.
    : [{ name, thinness: 4, fits: (text) => inHeader(text) && inCookie(text) && text !== '', load: (text) => ({ headers: { ...one(text).headers, ...other(sound).headers } }) }]
  return [header, cookie, ...beside('header beside a sound cookie', header.load, cookie.load), ...beside('cookie beside a sound header', cookie.load, header.load)]
}

/** The ways to bring a refresh token. */
export function refreshCarriersOf (travel: Travel): Carrier[] {
  const body: Carrier = { name: 'body', thinness: 1, fits: () => true, load: (text) => ({ headers: JSON_TYPE, body: JSON.stringify({ refresh_token: text }) }) }
  const cookie: Carrier = { name: 'cookie', thinness: 1, fits: (text) => inCookie(text), load: (text) => ({ headers: { ...OWN, cookie: `${REFRESH}=${bytesOf(text)}; c=d` } }) }
  return { header: [body], cookie: [cookie], both: [body, cookie] }[travel]
}

/** Sends each text by each carrier in turn, and asserts that each is refused as it should be. */
export async function refuses (t: Test, target: Target, texts: readonly string[], carriers: readonly Carrier[], [method, path]: readonly ['GET' | 'POST', string], statuses = [400, 401]): Promise<void> {
  for (const { name, thinness, fits, load } of carriers) {
    const taken = texts.filter((_, index) => index % thinness === 0)
    const fitting = taken.filter(fits)
    const faults = await Promise.all(fitting.map(async (text) => {
      const { headers, body } = load(text)
      const answer = await target.send(method, path, headers, body)
      const found = faultsOf(answer, target.secrets, text)
      if (!statuses.includes(answer.status)) found.push(`status ${answer.status}`)
      return found.map((fault) => `${fault}: ${text.slice(0, 300)}`)
    }))
    t.same(faults.flat(), [], `${fitting.length} by ${name}`)
    t.ok(fitting.length >= taken.length * 0.7, 'most texts can travel so')
  }
}

/** Refreshes, and takes over the new tokens. */
export async function refreshOf (target: Target, tokens: TokenAnswer): Promise<Heard> {
  const { headers, body } = (refreshCarriersOf(target.travel)[0] as Carrier).load(tokens.refresh_token)
  const answer = await target.send('POST', '/refresh', headers, body)
  if (answer.status === 200) {
    const fresh = tokensOf(answer)
    for (const token of [fresh.access_token, fresh.refresh_token]) target.secrets.push(...parse(token).parts.slice(1))
  }
  return answer
}

/** The tokens of an answer, whichever way they came. */
export function tokensOf ({ headers, body }: Heard): TokenAnswer {
  const answer = JSON.parse(body) as TokenAnswer
  const cookies = headers['set-cookie'] ?? []
  const valueOf = (name: string): string => cookies.find((cookie) => cookie.startsWith(`${name}=`))?.slice(name.length + 1).split(';')[0] as string
  return cookies.length === 0 ? answer : { ...answer, access_token: valueOf(ACCESS), refresh_token: valueOf(REFRESH) }
}

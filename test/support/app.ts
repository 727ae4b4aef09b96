import Fastify, { type FastifyInstance, type FastifyServerOptions, type LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import jwtSession from '../../lib'

export const SECRET = 'k7QmT2vX9dLr4WzB8nHc3YpJ6sFg1AeU'

export interface TestUser extends jwtSession.SessionUser {
  roles: string[]
}

/** Verifies without work, so that a flow takes microseconds. What hashing does is tested where hashing is. */
export const plainPasswords: jwtSession.Passwords = {
  hash: (password) => `plain:${password}`,
  verify: (password, passwordHash) => passwordHash === `plain:${password}`
}

export function makeUsers (): Map<string, TestUser> {
  return new Map([
    ['alice', { id: 'user-alice', passwordHash: 'plain:wonderland', roles: ['admin', 'editor'] }],
    ['bob', { id: 'user-bob', passwordHash: 'plain:builder', roles: ['reader'] }]
  ])
}

export function lookupIn (users: Map<string, TestUser>): jwtSession.UserLookup<TestUser> {
  return {
    findByUsername: (username) => users.get(username),
    findById: (id) => Array.from(users.values()).find((user) => user.id === id)
  }
}

type Options = Partial<jwtSession.JwtSessionOptions<TestUser, Record<string, unknown>>>

export interface TestApp {
  app: FastifyInstance
  users: Map<string, TestUser>
  client: Client
  /** Every event, in order, with its name. */
  events: { name: keyof jwtSession.SessionEventMap, [member: string]: unknown }[]
}

const EVENTS: (keyof jwtSession.SessionEventMap)[] = [
  'login.succeeded', 'login.failed', 'login.throttled', 'password.rehashed', 'rehash.failed', 'refresh.succeeded', 'refresh.refused', 'refresh.recovered', 'session.reused', 'session.revoked', 'store.regressed'
]

/**
 * An application with two users (alice, wonderland, an admin; bob, builder), the plugin, and routes: `/me` guarded, `/fresh`
 * guarded by a fresh login, `/recent` by one of the last ten minutes, `/maybe` optional, `/admin` guarded by a claim, `/open`.
 */
export async function buildApp (t: Pick<Test, 'teardown'>, options: Options = {}, server: FastifyServerOptions = {}): Promise<TestApp> {
  const users = makeUsers()
  const app = Fastify(server)
  t.teardown(() => app.close())
  await app.register(jwtSession, {
    secret: SECRET,
    userLookup: lookupIn(users),
    passwords: plainPasswords,
    claims: ({ roles }) => ({ roles }),
    ...options
  })
  const who = (request: { auth: jwtSession.Auth | null }) => request.auth
  app.get('/open', who)
  app.get('/me', { onRequest: [app.authenticate] }, who)
  app.post('/me', { onRequest: [app.authenticate] }, who)
  app.get('/fresh', { onRequest: [app.authenticate({ fresh: true })] }, who)
  app.get('/recent', { onRequest: [app.authenticate({ maxAge: '10m' })] }, who)
  app.get('/maybe', { onRequest: [app.authenticate({ optional: true })] }, who)
  app.get('/admin', { onRequest: [app.requireClaims({ roles: 'admin' })] }, who)

  const events: TestApp['events'] = []
  for (const name of EVENTS) app.jwtSession.events.on(name, (event) => { events.push({ name, ...event }) })
  return { app, users, client: clientOf(app), events }
}

export type Answer = LightMyRequestResponse & { code: string | undefined }

export interface Client {
  get (url: string, token?: string): Promise<Answer>
  post (url: string, body?: unknown, token?: string): Promise<Answer>
  /** Logs in and answers the tokens. */
  login (username?: string, password?: string): Promise<jwtSession.TokenAnswer>
  refresh (refreshToken: string): Promise<Answer>
}

export function clientOf (app: FastifyInstance): Client {
  async function send (method: 'GET' | 'POST', url: string, body: unknown, token: string | undefined): Promise<Answer> {
    const response = await app.inject({
      method,
      url,
      ...(body === undefined ? {} : { payload: body as object }),
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` }
    })
    const isJson = String(response.headers['content-type']).startsWith('application/json')
    const code = isJson ? (response.json() as { code?: string } | null)?.code : undefined
    return Object.assign(response, { code: code?.replace('FST_JWT_SESSION_', '') })
  }
  return {
    get: (url, token) => send('GET', url, undefined, token),
    post: (url, body, token) => send('POST', url, body, token),
    refresh: (refreshToken) => send('POST', '/refresh', { refresh_token: refreshToken }, undefined),
    async login (username = 'alice', password = 'wonderland') {
      const response = await send('POST', '/login', { username, password }, undefined)
      if (response.statusCode !== 200) throw new Error(`login answered ${response.statusCode}`)
      return response.json() as jwtSession.TokenAnswer
    }
  }
}

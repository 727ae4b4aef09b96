import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { fromNodeHeaders } from 'better-auth/node'
import Fastify from 'fastify'
import { SECRET, TOKENS } from '../settings.mjs'
import { forge } from '../tokens.mjs'
import { listening } from './http.mjs'

const database = { user: [], session: [], account: [], verification: [] }

/** better-auth's getSession in a hook, its database in memory; passwords are not hashed, to be ready sooner. */
export async function open () {
  const auth = betterAuth({
    secret: SECRET,
    baseURL: 'http://127.0.0.1',
    database: memoryAdapter(database),
    emailAndPassword: { enabled: true, password: { hash: async (password) => password, verify: async ({ hash, password }) => hash === password } },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: { disabled: true }
  })
  const app = Fastify()
  app.decorateRequest('user', null)
  async function guard (request) {
    const session = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) })
    if (session === null) throw Object.assign(new Error('no session'), { statusCode: 401 })
    request.user = session.user
  }
  app.get('/protected', { onRequest: [guard] }, ({ user }) => ({ ok: true, sub: user.name }))

  const cookies = []
  for (let number = 0; number <= TOKENS; number++) {
    const name = `user-${String(number).padStart(7, '0')}`
    const { headers } = await auth.api.signUpEmail({ body: { name, email: `${name}@example.com`, password: 'correct horse' }, returnHeaders: true })
    cookies.push(headers.getSetCookie().find((line) => line.includes('session_token')).split(';')[0])
  }
  const [last] = cookies.splice(-1)
  return {
    ...await listening(app, { valid: cookies.map((pair) => `cookie: ${pair}`), forged: `cookie: ${forge(cookies[0])}`, revoked: `cookie: ${last}` }),
    revoke: () => auth.api.signOut({ headers: new Headers({ cookie: last }) })
  }
}

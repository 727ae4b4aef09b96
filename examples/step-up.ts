// A route that asks for a recent login: whoever found an open laptop cannot change the email address.
// `npm run build && npx tsx examples/step-up.ts` runs the server and a client, prints what they say, and ends.
import { randomBytes } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import Fastify from 'fastify'
import jwtSession, { bcryptPasswords } from 'fastify-jwt-session'

interface Tokens { access_token: string, refresh_token: string }

async function startServer () {
  const { hash } = bcryptPasswords()
  const alice = { id: '1', username: 'alice', passwordHash: await hash('wonderland'), email: 'alice@example.com' }
  const app = Fastify({ logger: { level: 'warn' } })
  await app.register(jwtSession, {
    secret: randomBytes(32),
    userLookup: {
      findByUsername: (username) => username === alice.username ? alice : null,
      findById: (id) => id === alice.id ? alice : null
    }
  })
  app.get('/me', { onRequest: [app.authenticate] }, () => ({ email: alice.email }))
  // Three seconds, so that nobody has to wait for this example. In earnest: '10m'.
  app.post<{ Body: { email: string } }>('/email', {
    onRequest: [app.authenticate({ maxAge: '3s' })],
    schema: { body: { type: 'object', required: ['email'], properties: { email: { type: 'string', maxLength: 254 } } } }
  }, ({ body }) => {
    alice.email = body.email
    return { email: alice.email }
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return app
}

async function main (): Promise<void> {
  const app = await startServer()

  async function call (method: string, path: string, token?: string, body?: object): Promise<Response> {
    const answer = await fetch(app.listeningOrigin + path, {
      method,
      headers: { ...(token && { authorization: `Bearer ${token}` }), ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) })
    })
    console.log(`${method} ${path}: ${answer.status} ${answer.headers.get('www-authenticate') ?? ''}`)
    return answer
  }
  async function logIn (): Promise<Tokens> {
    return await (await call('POST', '/login', undefined, { username: 'alice', password: 'wonderland' })).json() as Tokens
  }

  let tokens = await logIn()

  /** What a page does: when the server asks for it, it asks the user for the password once more, and repeats the request. */
  async function changeEmail (email: string): Promise<void> {
    const answer = await call('POST', '/email', tokens.access_token, { email })
    const challenge = answer.headers.get('www-authenticate') ?? ''
    if (!challenge.includes('error="insufficient_user_authentication"')) return
    console.log(`  The login has to be at most ${/max_age="?(\d+)/.exec(challenge)?.[1]} s old: "Your password, please."`)
    const before = tokens
    tokens = await logIn()
    // The new login is a new session; the one before it is not needed any more.
    await call('POST', '/logout', before.access_token)
    await call('POST', '/email', tokens.access_token, { email })
  }

  console.log('\nShortly after the login:')
  await changeEmail('al@example.com')
  await setTimeout(4000)
  console.log('\nFour seconds later an ordinary route is open as ever, and a refresh makes nothing more recent:')
  await call('GET', '/me', tokens.access_token)
  tokens = await (await call('POST', '/refresh', undefined, { refresh_token: tokens.refresh_token })).json() as Tokens
  await changeEmail('lis@example.com')

  await app.close()
}

main()

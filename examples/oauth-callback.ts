// "Log in with …": @fastify/oauth2 finds out who it is, and the session is one of this package, in cookies.
// `npm run build && npx tsx examples/oauth-callback.ts` runs it, with an authorization server of its own, so that it works offline.
import { createHash, randomBytes } from 'node:crypto'
import Fastify, { type FastifyInstance } from 'fastify'
import oauth2, { type OAuth2Namespace } from '@fastify/oauth2'
import jwtSession from 'fastify-jwt-session'

declare module 'fastify' {
  interface FastifyInstance { provider: OAuth2Namespace }
}

const { PORT = '3000', JWT_SECRET = randomBytes(32).toString('base64'), NODE_ENV } = process.env
const client = { id: 'example', secret: randomBytes(16).toString('hex') }
const secure = NODE_ENV === 'production'

async function start (): Promise<void> {
  const provider = await startProvider()
  const users: { id: string, passwordHash: string, name: string }[] = []
  const app = Fastify({ logger: { level: 'error' } })

  await app.register(oauth2, {
    name: 'provider',
    credentials: {
      client,
      auth: { authorizeHost: provider.listeningOrigin, authorizePath: '/authorize', tokenHost: provider.listeningOrigin, tokenPath: '/token' }
    },
    scope: ['profile'],
    pkce: 'S256',
    startRedirectPath: '/login',
    callbackUri: () => `${app.listeningOrigin}/callback`, // in earnest a constant, which the provider knows
    cookie: { path: '/', secure },
    hostPrefixedCookies: secure
  })
  await app.register(jwtSession, {
    secret: JWT_SECRET,
    userLookup: { findByUsername: () => null, findById: (id) => users.find((user) => user.id === id) },
    locations: ['cookie'],
    cookie: { secure },
    routes: { login: false } // nobody has a password here
  })

  app.get<{ Querystring: { code?: string } }>('/callback', async (request, reply) => {
    // Checks that this browser began the login (state), and takes the code to the provider with what only this browser has (PKCE).
    // `deliver` does not ask who made the request, so never leave this out. What is wrong with it is no failure of this server.
    const granted = await app.provider.getAccessTokenFromAuthorizationCodeFlow(request, reply).catch(() => null)
    if (granted === null) return reply.code(400).send({ message: 'This login was not begun here, or is over' })
    const answer = await fetch(`${provider.listeningOrigin}/userinfo`, { headers: { authorization: `Bearer ${granted.token.access_token}` } })
    if (!answer.ok) return reply.code(502).send({ message: 'The provider did not say who this is' })
    const { sub, name } = await answer.json() as { sub: string, name: string }

    // Known by the provider's own id for them, never by an email address, which the next one may get.
    const id = `provider:${sub}`
    const user = users.find((user) => user.id === id) ?? { id, passwordHash: '', name }
    if (!users.includes(user)) users.push(user)
    app.jwtSession.deliver(reply, await app.jwtSession.login(user, request))
    return reply.redirect('/')
  })
  app.get('/', { onRequest: [app.authenticate({ optional: true })] }, ({ auth }, reply) => reply.type('text/html').send(auth === null
    ? '<a href="/login">Log in</a>'
    : `You are ${encodeURIComponent(auth.subject)}. <button onclick="fetch('/logout', { method: 'POST' }).then(() => location.reload())">Log out</button>`))

  app.addHook('onClose', () => provider.close())
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
  console.log(`Listening at ${await app.listen({ host: '127.0.0.1', port: Number(PORT) })} : open it in a browser.`)
}

/** What Google or GitHub is in earnest: everybody who comes is Alice, and agrees. Not for anything but this example. */
async function startProvider (): Promise<FastifyInstance> {
  const challenges = new Map<string, string>()
  const tokens = new Set<string>()
  const provider = Fastify()
  provider.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
    done(null, Object.fromEntries(new URLSearchParams(body as string))))
  provider.get<{ Querystring: Record<string, string> }>('/authorize', ({ query }, reply) => {
    const code = randomBytes(16).toString('hex')
    challenges.set(code, query.code_challenge as string)
    return reply.redirect(`${query.redirect_uri}?${new URLSearchParams({ code, state: query.state as string })}`)
  })
  provider.post<{ Body: Record<string, string> }>('/token', ({ headers, body }, reply) => {
    const isClient = headers.authorization === `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}`
    const challenge = createHash('sha256').update(body.code_verifier ?? '').digest('base64url')
    if (!isClient || challenges.get(body.code as string) !== challenge) return reply.code(400).send({ error: 'invalid_grant' })
    challenges.delete(body.code as string)
    const token = randomBytes(16).toString('hex')
    tokens.add(token)
    return { access_token: token, token_type: 'Bearer', expires_in: 60 }
  })
  provider.get('/userinfo', ({ headers }, reply) => tokens.has(headers.authorization?.slice(7) ?? '')
    ? { sub: '42', name: 'Alice' }
    : reply.code(401).send())
  await provider.listen({ host: '127.0.0.1', port: 0 })
  return provider
}

start()

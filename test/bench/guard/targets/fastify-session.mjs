import cookie from '@fastify/cookie'
import session from '@fastify/session'
import { RedisStore } from 'connect-redis'
import Fastify from 'fastify'
import { createClient } from 'redis'
import { newNamespace, REDIS_URL, SECRET, TOKENS, userOf } from '../settings.mjs'
import { forge } from '../tokens.mjs'
import { listening } from './http.mjs'

/** @fastify/session over Redis, not rolling: each request reads its session there. */
export async function open () {
  const client = createClient({ url: REDIS_URL, socket: { reconnectStrategy: false } })
  client.on('error', () => {})
  await client.connect()
  const prefix = `${newNamespace()}:`
  const app = Fastify()
  await app.register(cookie)
  await app.register(session, {
    secret: SECRET,
    cookie: { secure: false, maxAge: 86_400_000 },
    rolling: false,
    saveUninitialized: false,
    store: new RedisStore({ client, prefix })
  })
  app.addHook('onClose', async () => {
    const keys = await client.keys(`${prefix}*`)
    if (keys.length > 0) await client.del(keys)
    client.destroy()
  })
  app.get('/login/:number', async (request) => {
    request.session.user = { ...userOf(request.params.number), role: 'admin' }
    return {}
  })
  app.get('/logout', async (request) => {
    await request.session.destroy()
    return {}
  })
  function guard (request, reply, done) {
    done(request.session.user === undefined ? Object.assign(new Error('no session'), { statusCode: 401 }) : undefined)
  }
  app.get('/protected', { preHandler: [guard] }, ({ session: { user } }) => ({ ok: true, sub: user.id }))

  const cookies = []
  for (let number = 0; number <= TOKENS; number++) {
    const { headers } = await app.inject(`/login/${number}`)
    cookies.push([headers['set-cookie']].flat()[0].split(';')[0])
  }
  const [last] = cookies.splice(-1)
  return {
    ...await listening(app, { valid: cookies.map((pair) => `cookie: ${pair}`), forged: `cookie: ${forge(cookies[0])}`, revoked: `cookie: ${last}` }),
    revoke: () => app.inject({ url: '/logout', headers: { cookie: last } })
  }
}

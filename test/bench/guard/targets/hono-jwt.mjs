import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { jwt } from 'hono/jwt'
import { SECRET } from '../settings.mjs'
import { tokenMaker } from '../tokens.mjs'
import { sharedCredentials } from './http.mjs'

/** hono's jwt middleware, which knows no revocation. It refuses headers with a `typ` other than JWT, so these tokens are its own. */
export async function open (settings) {
  const tokens = settings.tokens.map((token) => tokenMaker(token, 'HS256', SECRET, { alg: 'HS256', typ: 'JWT' })({}))
  const app = new Hono()
  app.use('/protected', jwt({ secret: SECRET, alg: 'HS256' }))
  app.get('/protected', (context) => context.json({ ok: true, sub: context.get('jwtPayload').sub }))
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' })
  await new Promise((resolve) => server.listening ? resolve() : server.once('listening', resolve))
  return { port: server.address().port, close: () => server.close(), ...sharedCredentials({ tokens }) }
}

import Fastify from 'fastify'
import jwt from '@fastify/jwt'
import { SECRET } from '../settings.mjs'
import { listening, sharedCredentials } from './http.mjs'

const hooks = {
  /** As its documentation has it. */
  promise: () => async (request) => { await request.jwtVerify() },

  /** The fastest that its public interface allows: the one verifier, called at once. */
  sync: (app) => (request, reply, done) => {
    const { authorization } = request.headers
    try {
      if (authorization?.slice(0, 7) !== 'Bearer ') throw new Error('no token')
      request.user = app.jwt.verify(authorization.slice(7))
    } catch (error) {
      done(Object.assign(error, { statusCode: 401 }))
      return
    }
    done()
  }
}

/** @fastify/jwt, which knows no revocation. */
export async function open (settings) {
  const app = Fastify()
  await app.register(jwt, { secret: SECRET })
  app.get('/protected', { onRequest: [hooks[settings.hook](app)] }, ({ user }) => ({ ok: true, sub: user.sub }))
  return listening(app, sharedCredentials(settings))
}

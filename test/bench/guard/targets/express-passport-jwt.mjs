import { createSecretKey } from 'node:crypto'
import express from 'express'
import passport from 'passport'
import { ExtractJwt, Strategy } from 'passport-jwt'
import { SECRET } from '../settings.mjs'
import { bearer } from '../tokens.mjs'
import { sharedCredentials } from './http.mjs'

/**
 * Express with passport-jwt and a set of revoked sessions. jsonwebtoken tries a secret that is a string as a public key at every
 * call, which is most of its time; documentation gives strings all the same.
 */
export async function open (settings) {
  const { revoked, isKeyObject } = settings
  const ended = new Set()
  const options = {
    jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
    secretOrKey: isKeyObject ? createSecretKey(Buffer.from(SECRET)) : SECRET,
    algorithms: ['HS256']
  }
  passport.use(new Strategy(options, (claims, done) => done(null, ended.has(claims.sid) ? false : claims)))

  const app = express()
  app.get('/protected', passport.authenticate('jwt', { session: false }), ({ user }, response) => {
    response.json({ ok: true, sub: user.sub })
  })
  const server = app.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  return {
    port: server.address().port,
    close: () => server.close(),
    ...sharedCredentials(settings),
    revoked: bearer(revoked.token),
    revoke: () => ended.add(revoked.id)
  }
}

import { createRequire } from 'node:module'
import Fastify from 'fastify'
import { bearer, forge } from '../tokens.mjs'
import { CLAIMS, guards, keyOptions, newNamespace, userOf } from '../settings.mjs'
import { listening } from './http.mjs'
import { openStore } from './stores.mjs'

const require = createRequire(import.meta.url)
const jwtSession = require('../../../../dist/lib/index.js')

/** An application with this package, and so many users logged in. */
export async function createApp ({ store = 'memory', algorithm, key, memory, sessions, wrap = (opened) => opened }) {
  const app = Fastify()
  const { revocationStore, drop } = await openStore(store, newNamespace())
  app.addHook('onClose', drop)
  try {
    await app.register(jwtSession, {
      ...keyOptions(algorithm, key),
      ...memory,
      revocationStore: wrap(revocationStore),
      accessToken: { expiresIn: '1d' },
      claims: () => CLAIMS,
      userLookup: { findByUsername: () => null, findById: (id) => ({ id, passwordHash: 'none' }) }
    })
  } catch (error) {
    await drop()
    throw error
  }
  const tokens = []
  while (tokens.length < sessions) {
    const portion = Array.from({ length: Math.min(20, sessions - tokens.length) }, (_, index) => userOf(tokens.length + index))
    const answers = await Promise.all(portion.map((user) => app.jwtSession.login(user)))
    tokens.push(...answers.map((answer) => answer.access_token))
  }
  return { app, tokens }
}

/** This package, as it was built. */
export async function open (settings) {
  const { app, tokens } = await createApp(settings)
  const [revoked] = tokens.splice(-1)
  const { sid, sub } = app.jwtSession.decode(revoked).claims
  app.get('/protected', { onRequest: [guards[settings.guard](app)] }, ({ auth }) => ({ ok: true, sub: auth.subject }))

  const target = await listening(app, { valid: tokens.map(bearer), forged: bearer(forge(tokens[0])), revoked: bearer(revoked) })
  return { ...target, revoke: () => app.jwtSession.revoke({ id: sid, subject: sub }) }
}

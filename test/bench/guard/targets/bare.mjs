import Fastify from 'fastify'
import { userOf } from '../settings.mjs'
import { listening, sharedCredentials } from './http.mjs'

/** The ceiling: a route without any guard, that gets the same headers and answers as much. */
export async function open (settings) {
  const app = Fastify()
  const { id } = userOf(17)
  app.get('/protected', () => ({ ok: true, sub: id }))
  return { ...await listening(app, sharedCredentials(settings)), isOpen: true }
}

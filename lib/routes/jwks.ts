import type { FastifyInstance } from 'fastify'
import { errorAnswer, jwkSet } from '../schemas'
import type { Parts } from '../parts'
import type { RouteSettings } from '../route-options'

/** In seconds. A key has to be published for as long before it signs. */
const MAX_AGE = 300

/** `GET /.well-known/jwks.json`: the public keys, for whoever verifies tokens elsewhere. */
export function jwksRoute (app: FastifyInstance, { ring }: Parts, { url, config }: RouteSettings): void {
  const schema = {
    summary: 'The public keys that tokens are verified with',
    operationId: 'jwks',
    tags: ['session'],
    security: [],
    response: { 200: jwkSet, '4xx': errorAnswer, '5xx': errorAnswer }
  }
  app.get(url, { schema, config }, async (_request, reply) => {
    reply.header('cache-control', `public, max-age=${MAX_AGE}`)
    return ring.jwkSet()
  })
}

import type { FastifyInstance } from 'fastify'
import { refresh } from '../refresh'
import { errorAnswer, refreshBody, tokenAnswer } from '../schemas'
import type { Parts, RouteSettings } from '../parts'

/** `POST /refresh`: a refresh token for new tokens (RFC 6749 section 6). */
export function refreshRoute (app: FastifyInstance, parts: Parts, { url, config }: RouteSettings): void {
  const { transport } = parts.settings
  const schema = {
    summary: 'Renew the tokens of a session',
    operationId: 'refresh',
    tags: ['session'],
    security: [],
    body: refreshBody,
    response: { 200: tokenAnswer, '4xx': errorAnswer, '5xx': errorAnswer }
  }
  app.post(url, { schema, config }, async (request, reply) => {
    const token = transport.refreshToken(request) as string
    return transport.deliver(reply, await refresh(parts, token, request))
  })
}

import type { FastifyInstance } from 'fastify'
import { sessionError } from '../errors'
import { authenticate } from '../hooks'
import { csrfHeader, emptyAnswer, errorAnswer, sessionParams, sessionsAnswer } from '../schemas'
import type { Parts } from '../parts'
import type { RouteSettings } from '../route-options'
import type { Session } from '../../types'

/** `GET /sessions` and `DELETE /sessions/:id`: the sessions of the subject. */
export function sessionsRoutes (app: FastifyInstance, { sessions, settings: { transport } }: Parts, { url, config }: RouteSettings): void {
  const common = {
    tags: ['session'],
    security: transport.locations.map((location) => location === 'cookie' ? { accessCookie: [] } : { bearerAuth: [] })
  }
  const failures = { '4xx': errorAnswer, '5xx': errorAnswer }
  const onRequest = [authenticate]

  const listSchema = { summary: 'List sessions', operationId: 'listSessions', ...common, response: { 200: sessionsAnswer, ...failures } }
  app.get(url, { schema: listSchema, config, onRequest }, async ({ auth }) => {
    const list = await sessions.list(auth.subject)
    return list.map((session) => presented(session, auth.sessionId))
  })

  const headers = transport.cookies && { headers: csrfHeader(transport.csrf.header) }
  const endSchema = { summary: 'End a session', operationId: 'endSession', ...common, ...headers, params: sessionParams, response: { 204: emptyAnswer, ...failures } }
  app.delete<{ Params: { id: string } }>(`${url}/:id`, { schema: endSchema, config, onRequest }, async ({ auth, params: { id } }, reply) => {
    if (!await sessions.revoke({ id, subject: auth.subject }, 'logout')) throw sessionError('SESSION_NOT_FOUND')
    if (id === auth.sessionId) transport.cookies?.clear(reply)
    return await reply.code(204).send()
  })
}

function presented ({ id, createdAt, rotatedAt, idleExpiresAt, expiresAt, userAgent, ip }: Session, current: string): object {
  return {
    id,
    current: id === current,
    created_at: Math.floor(createdAt),
    last_seen_at: Math.floor(rotatedAt),
    expires_at: Math.floor(Math.min(idleExpiresAt, expiresAt)),
    user_agent: userAgent,
    ip
  }
}

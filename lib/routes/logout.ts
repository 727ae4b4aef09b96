import type { FastifyInstance, FastifyRequest } from 'fastify'
import { authorize } from '../access'
import { now } from '../clock'
import { sessionError } from '../errors'
import { authorizationHeader, emptyAnswer, errorAnswer, logoutBody } from '../schemas'
import type { Parts, RouteSettings } from '../parts'
import type { SessionRef } from '../../types'

/** `POST /logout`: ends the session that a token names, expired or not; with `everywhere` all sessions of its subject. */
export function logoutRoute (app: FastifyInstance, parts: Parts, { url, config }: RouteSettings): void {
  const { sessions, settings: { transport } } = parts
  const schema = {
    summary: 'Log out',
    operationId: 'logout',
    tags: ['session'],
    security: [{ bearerAuth: [] }],
    headers: authorizationHeader,
    body: logoutBody,
    response: { 204: emptyAnswer, '4xx': errorAnswer, '5xx': errorAnswer }
  }
  app.post<{ Body?: { everywhere?: boolean } }>(url, { schema, config }, async (request, reply) => {
    const session = namedSession(parts, request)
    if (request.body?.everywhere) {
      const token = transport.accessToken(request)
      if (token === undefined) throw sessionError('TOKEN_MISSING')
      const { subject, sessionId } = await authorize(parts, token, transport.location)
      // This session last: who is told that it failed has to be able to try again.
      await sessions.revokeAll(subject, 'logout', sessionId)
      await sessions.revoke({ id: sessionId, subject }, 'logout')
    } else {
      await sessions.revoke(session, 'logout')
    }
    return await reply.code(204).send()
  })
}

/** The session that the tokens of a request name. A token that does not verify names none. */
function namedSession ({ tokens, settings: { transport } }: Parts, request: FastifyRequest): SessionRef {
  const accessToken = transport.accessToken(request)
  const refreshToken = transport.refreshToken(request)
  if (accessToken === undefined && refreshToken === undefined) throw sessionError('TOKEN_MISSING')

  const access = accessToken === undefined ? undefined : tokens.access.verify(accessToken, now())
  const refresh = refreshToken === undefined ? undefined : tokens.refresh.verify(refreshToken, now())
  const claims = access?.claims ?? refresh?.claims
  if (claims === undefined) throw sessionError('TOKEN_INVALID')
  if (access !== undefined && refresh !== undefined && access.claims.sid !== refresh.claims.sid) {
    throw sessionError('REQUEST_INVALID', { token: true })
  }
  return { id: claims.sid, subject: claims.sub }
}

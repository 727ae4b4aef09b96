import type { FastifyInstance, FastifyRequest } from 'fastify'
import { authorize, findToken } from '../access'
import { now } from '../clock'
import { isJson, refuseForgery } from '../csrf'
import { sessionError } from '../errors'
import { emptyAnswer, errorAnswer, logoutBody, logoutHeaders } from '../schemas'
import type { Parts } from '../parts'
import type { RouteSettings } from '../route-options'
import type { SessionRef } from '../../types'

interface Body {
  refresh_token?: string
  everywhere?: boolean
}

/** `POST /logout`: ends the session that a token names, expired or not; with `everywhere` all sessions of its subject. */
export function logoutRoute (app: FastifyInstance, parts: Parts, { url, config, bodySchema }: RouteSettings): void {
  const { sessions, settings: { transport } } = parts
  const { cookies } = transport
  const schema = {
    summary: 'Log out',
    operationId: 'logout',
    tags: ['session'],
    security: [{ bearerAuth: [] }, ...(cookies === undefined ? [] : [{ accessCookie: [] }, { refreshCookie: [] }])],
    headers: logoutHeaders(cookies && transport.csrf.header),
    body: logoutBody(bodySchema),
    response: { 204: emptyAnswer, '4xx': errorAnswer, '5xx': errorAnswer }
  }
  app.post<{ Body?: Body | null }>(url, { schema, config }, async (request, reply) => {
    const session = namedSession(parts, request)
    if (request.body?.everywhere) {
      const access = findToken(parts, request)
      if (access === undefined) throw sessionError('TOKEN_MISSING')
      const { subject, sessionId } = await authorize(parts, access.token, null)
      // This session last: who is told that it failed has to be able to try again.
      await sessions.revokeAll(subject, 'logout', sessionId)
      await sessions.revoke({ id: sessionId, subject }, 'logout')
    } else {
      await sessions.revoke(session, 'logout')
    }
    cookies?.clear(reply)
    return await reply.code(204).send()
  })
}

/** The session that the tokens of a request name. A token that does not verify names none. */
function namedSession (parts: Parts, request: FastifyRequest<{ Body?: Body | null }>): SessionRef {
  const { tokens, settings: { transport } } = parts
  const access = findToken(parts, request)
  const inBody = request.body?.refresh_token
  const inCookie = transport.cookies?.findRefresh(request)
  if (inBody !== undefined && inCookie !== undefined && inBody !== inCookie) throw sessionError('REQUEST_INVALID', { token: true })
  const refreshToken = inBody ?? inCookie
  if (access === undefined && refreshToken === undefined) throw sessionError('TOKEN_MISSING')

  // Another site can make a browser send cookies, but neither a header of its choice nor a token that it does not know.
  const isShown = inBody !== undefined || access?.location === 'header'
  const named = [
    { claims: access && tokens.access.verify(access.token, now())?.claims, isShown: access?.location === 'header' },
    { claims: refreshToken === undefined ? undefined : tokens.refresh.verify(refreshToken, now())?.claims, isShown: inBody !== undefined }
  ].filter(({ claims }) => claims !== undefined)
  // A bad token that was shown never falls through to a good cookie.
  const claims = named.find((one) => one.isShown === isShown)?.claims
  if (claims === undefined) throw sessionError('TOKEN_INVALID')
  if (named.some((one) => one.claims?.sid !== claims.sid)) throw sessionError('REQUEST_INVALID', { token: true })
  if (!isShown) refuseForgery(transport.csrf, request, claims.csrf, isJson(request))
  return { id: claims.sid, subject: claims.sub }
}

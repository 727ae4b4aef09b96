import type { FastifyInstance, FastifyReply } from 'fastify'
import { deliver, tokenAnswers } from '../delivery'
import { isSessionError, sessionError } from '../errors'
import { refresh } from '../refresh'
import { csrfHeader, errorAnswer, refreshBody } from '../schemas'
import type { Parts } from '../parts'
import type { RouteSettings } from '../route-options'

/** `POST /refresh`: a refresh token for new tokens (RFC 6749 section 6). */
export function refreshRoute (app: FastifyInstance, parts: Parts, { url, config, bodySchema }: RouteSettings): void {
  const { settings } = parts
  const { cookies, csrf } = settings.transport
  const schema = {
    summary: 'Renew the tokens of a session',
    operationId: 'refresh',
    tags: ['session'],
    security: cookies === undefined ? [] : [{}, { refreshCookie: [] }],
    ...(cookies === undefined ? {} : { headers: csrfHeader(csrf.header) }),
    body: refreshBody(cookies !== undefined, bodySchema),
    response: { 200: tokenAnswers(settings), '4xx': errorAnswer, '5xx': errorAnswer }
  }
  app.post<{ Body?: { refresh_token?: string } | null }>(url, { schema, config }, async (request, reply) => {
    const inBody = request.body?.refresh_token
    const inCookie = cookies?.findRefresh(request)
    if (inBody !== undefined && inCookie !== undefined && inBody !== inCookie) throw sessionError('REQUEST_INVALID', { token: true })
    // Only where there are cookies does the schema let both be absent: the cookie ends with its token.
    const token = inCookie ?? inBody ?? ''
    if (inCookie === undefined) return deliver(settings, reply, await refresh(parts, token, request), 'body')
    return deliver(settings, reply, await clearing(reply, refresh(parts, token, request, 'cookie')), 'cookie')
  })

  /** Takes the cookies from a client whose session is over for good. */
  async function clearing<T> (reply: FastifyReply, answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (error) {
      if (isSessionError(error) && error.code === 'FST_JWT_SESSION_REFRESH_TOKEN_INVALID') cookies?.clear(reply)
      throw error
    }
  }
}

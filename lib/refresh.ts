import type { FastifyRequest } from 'fastify'
import { now } from './clock'
import { isFromOwnPages, isJson, refuseForgery } from './csrf'
import { sessionError, type SessionError } from './errors'
import { issue } from './issue'
import { lookUp } from './users'
import type { Parts } from './parts'
import type { Delivery, RefreshRefusal, SessionRef, TokenAnswer } from '../types'

/** Trades a refresh token for new tokens. One that came in a cookie may have been sent by another site. */
export async function refresh (
  parts: Parts, token: string, request: FastifyRequest | undefined, source: Delivery = 'body'
): Promise<TokenAnswer> {
  const { settings, sessions, tokens } = parts
  // First of all: a refusal of the token clears the cookies, and that is nothing for another site to bring about.
  if (source === 'cookie') isFromOwnPages(settings.transport.csrf, request as FastifyRequest)
  const verified = tokens.refresh.verify(token, now())
  if (verified === undefined) throw refused(parts, 'malformed', null)

  const { sid, sub, gen, csrf } = verified.claims
  const session: SessionRef = { id: sid, subject: sub }
  if (tokens.isExpired(verified.claims, now())) throw refused(parts, 'expired', session)

  if (source === 'cookie') refuseForgery(settings.transport.csrf, request as FastifyRequest, csrf, isJson(request as FastifyRequest))

  const renewal = await sessions.rotate(session, gen, async (record) => {
    const user = await lookUp(() => settings.userLookup.findById(sub))
    if (user === undefined || user.disabled) return undefined
    const answer = await issue(parts, record, user, { reason: 'refresh', request, csrf })
    if (source === 'cookie') settings.transport.cookies?.requireFit(answer)
    return answer
  })
  if ('refused' in renewal) throw refused(parts, renewal.refused, session)
  return renewal.prepared
}

function refused ({ emit }: Parts, reason: RefreshRefusal, session: SessionRef | null): SessionError {
  emit('refresh.refused', { reason, session })
  return sessionError('REFRESH_TOKEN_INVALID')
}

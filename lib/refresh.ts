import type { FastifyRequest } from 'fastify'
import { now } from './clock'
import { sessionError, type SessionError } from './errors'
import { issue } from './issue'
import { lookUp } from './users'
import type { Parts } from './parts'
import type { RefreshRefusal, SessionRef, TokenAnswer } from '../types'

/** Trades a refresh token for new tokens. */
export async function refresh (parts: Parts, token: string, request: FastifyRequest | undefined): Promise<TokenAnswer> {
  const { settings, sessions, tokens } = parts
  const verified = tokens.refresh.verify(token, now())
  if (verified === undefined) throw refused(parts, 'malformed', null)

  const { sid, sub, gen } = verified.claims
  const session: SessionRef = { id: sid, subject: sub }
  if (tokens.isExpired(verified.claims, now())) throw refused(parts, 'expired', session)

  const renewal = await sessions.rotate(session, gen, async (record) => {
    const user = await lookUp(() => settings.userLookup.findById(sub))
    return user === undefined || user.disabled ? undefined : await issue(parts, record, user, { reason: 'refresh', request })
  })
  if ('refused' in renewal) throw refused(parts, renewal.refused, session)
  return renewal.prepared
}

function refused ({ emit }: Parts, reason: RefreshRefusal, session: SessionRef | null): SessionError {
  emit('refresh.refused', { reason, session })
  return sessionError('REFRESH_TOKEN_INVALID')
}

import { after } from './awaitable'
import { now } from './clock'
import { sessionError } from './errors'
import type { Parts } from './parts'
import type { Auth, Awaitable, TokenLocation } from '../types'

/**
 * Who an access token speaks for, after every check. Answers at once if the store does.
 * @throws `TOKEN_INVALID`, `TOKEN_EXPIRED`, `SESSION_REVOKED`, `STORE_UNAVAILABLE`.
 */
export function authorize (parts: Parts, token: string, source: TokenLocation | null): Awaitable<Auth> {
  const pending = parts.remote?.fetchFor(token)
  return pending === undefined ? judge(parts, token, source) : pending.then(() => judge(parts, token, source))
}

function judge ({ tokens, sessions }: Parts, token: string, source: TokenLocation | null): Awaitable<Auth> {
  const time = now()
  const verified = tokens.access.verify(token, time)
  if (verified === undefined) throw sessionError('TOKEN_INVALID')
  const { claims, header } = verified
  if (tokens.isExpired(claims, time)) throw sessionError('TOKEN_EXPIRED')

  return after(sessions.resume({ id: claims.sid, subject: claims.sub }, claims.gen), (isLive) => {
    if (!isLive) throw sessionError('SESSION_REVOKED')
    return Object.freeze({
      subject: claims.sub,
      sessionId: claims.sid,
      claims: claims as Auth['claims'],
      header,
      authTime: claims.auth_time,
      fresh: claims.fresh === true,
      source
    })
  })
}

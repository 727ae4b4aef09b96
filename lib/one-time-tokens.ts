import { now } from './clock'
import { optionInvalid, sessionError } from './errors'
import { soundClaims } from './issue'
import { readDuration, refuseUnknown } from './option-values'
import { subjectOf } from './users'
import type { Parts } from './parts'
import type { OneTimeToken, OneTimeTokenClaims } from '../types'

/** Makes a token that `consumeOneTimeToken` accepts once. It is there before its record is, which is what makes it work. */
export async function issueOneTimeToken ({ sessions, tokens }: Parts, token: OneTimeToken): Promise<string> {
  refuseUnknown('issueOneTimeToken', token, ['purpose', 'subject', 'expiresIn', 'claims'])
  const { purpose, expiresIn = '1h', claims = {} } = token
  if (typeof purpose !== 'string' || !/^[\w.:-]{1,64}$/.test(purpose)) {
    throw optionInvalid('issueOneTimeToken.purpose', 'is not a name', "Give one like 'password-reset'")
  }
  const lifetime = Math.floor(readDuration('issueOneTimeToken.expiresIn', expiresIn, '1s', '30d'))
  const draft = sessions.draftOnce(subjectOf({ id: token.subject, passwordHash: '' }), purpose, lifetime)
  const { id, subject, expiresAt } = draft
  const iat = Math.floor(now())
  const text = tokens.once.sign({ ...soundClaims(claims, ''), sub: subject, sid: id, jti: id, gen: 0, iat, exp: Math.floor(expiresAt), purpose })
  await sessions.open(draft)
  return text
}

/** Uses a one-time token up. Whoever does not come first gets the answer of a stranger. */
export async function consumeOneTimeToken (
  { sessions, tokens }: Parts, token: string, { purpose }: { purpose: string }
): Promise<{ subject: string, claims: OneTimeTokenClaims }> {
  const time = now()
  const verified = tokens.once.verify(token, time)
  if (verified === undefined || verified.claims.purpose !== purpose) throw sessionError('TOKEN_INVALID')
  const { claims } = verified
  if (tokens.isExpired(claims, time)) throw sessionError('TOKEN_EXPIRED')
  if (!await sessions.consume({ id: claims.sid, subject: claims.sub })) throw sessionError('TOKEN_INVALID')
  return { subject: claims.sub, claims }
}

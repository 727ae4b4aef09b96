import { randomBytes } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { sessionError } from './errors'
import { issue } from './issue'
import { isUnchanged, lookUp, subjectOf } from './users'
import type { Parts } from './parts'
import type { Delivery, Device, SessionUser, TokenAnswer } from '../types'

/**
 * The user to whom credentials belong. Unknown users, disabled users and wrong passwords take the same way out, after the
 * same work.
 */
export async function findByCredentials (
  { settings, decoyHash, emit }: Parts, username: string, password: string, request: FastifyRequest
): Promise<SessionUser> {
  const user = await lookUp(() => settings.userLookup.findByUsername(username, request))
  const passwordHash = user === undefined ? decoyHash : String(user.passwordHash)
  const isRight = await settings.passwords.verify(password, passwordHash)
  if (user === undefined || user.disabled || isRight !== true) {
    emit('login.failed', { username, device: deviceOf(request) })
    throw sessionError('INVALID_CREDENTIALS')
  }
  return user
}

/** Opens a session for a user. The tokens are looked at for whether they can be delivered before it is open. */
export async function login (
  parts: Parts, user: SessionUser, request: FastifyRequest | undefined, delivery: Delivery = 'body'
): Promise<TokenAnswer> {
  const { settings, sessions, emit } = parts
  if (user.disabled) throw sessionError('INVALID_CREDENTIALS')
  const device = request === undefined ? {} : deviceOf(request)
  const session = sessions.draft(subjectOf(user), device)
  const { cookies } = settings.transport
  const csrf = cookies === undefined ? undefined : randomBytes(16).toString('base64url')
  const answer = await issue(parts, session, user, { reason: 'login', request, csrf })
  if (delivery === 'cookie') cookies?.requireFit(answer)
  await sessions.open(session)
  // A password that changed while the old one was being checked has just ended all sessions but this one.
  if (!isUnchanged(user, await lookUp(() => settings.userLookup.findById(session.subject)))) {
    await sessions.revoke(session, 'user_gone')
    throw sessionError('INVALID_CREDENTIALS')
  }
  emit('login.succeeded', { id: session.id, subject: session.subject, device })
  return answer
}

function deviceOf (request: FastifyRequest): Device {
  const userAgent = request.headers['user-agent']?.slice(0, 256)
  return { ip: request.ip, ...(userAgent === undefined ? {} : { userAgent }) }
}

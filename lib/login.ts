import { randomBytes } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { isSessionError, sessionError } from './errors'
import { issue } from './issue'
import { isUnchanged, lookUp, subjectOf } from './users'
import type { Parts } from './parts'
import type { Delivery, Device, Passwords, SessionUser, TokenAnswer } from '../types'

/** What a client shows at a login. */
export interface Credentials {
  readonly username: string
  readonly password: string
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal
}

/**
 * The user to whom credentials belong. Unknown users, disabled users and wrong passwords take the same way out, after the
 * same work.
 */
export async function findByCredentials (
  { settings, decoyHash, emit }: Parts, { username, password, signal }: Credentials, request: FastifyRequest
): Promise<SessionUser> {
  const user = await lookUp(() => settings.userLookup.findByUsername(username, request))
  const passwordHash = user === undefined ? decoyHash : String(user.passwordHash)
  const isRight = await fits(settings.passwords, password, passwordHash, signal)
  if (user === undefined || user.disabled || !isRight) {
    emit('login.failed', { username, device: deviceOf(request) })
    throw sessionError('INVALID_CREDENTIALS')
  }
  return user
}

/**
 * Whether a password belongs to a hash. Whatever keeps an adapter from saying so is the same to a client.
 * @throws `BUSY`; `REQUEST_INVALID` for a client that is gone, and will not read it.
 */
async function fits (passwords: Passwords, password: string, passwordHash: string, signal: AbortSignal): Promise<boolean> {
  try {
    const isRight = await passwords.verify(password, passwordHash, { signal }) === true
    if (isRight) signal.throwIfAborted()
    return isRight
  } catch (cause) {
    if (signal.aborted) throw sessionError('REQUEST_INVALID', { cause })
    throw isSessionError(cause) ? cause : sessionError('BUSY', { cause })
  }
}

/**
 * Opens a session for a user, who may have shown credentials. The tokens are looked at for whether they can be delivered before
 * it is open.
 */
export async function login (
  parts: Parts, user: SessionUser, request: FastifyRequest | undefined, delivery: Delivery = 'body', credentials?: Credentials
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
  const current = await lookUp(() => settings.userLookup.findById(session.subject))
  if (!isUnchanged(user, current) && !await isRehashed(parts, current, credentials)) {
    await sessions.revoke(session, 'user_gone')
    throw sessionError('INVALID_CREDENTIALS')
  }
  emit('login.succeeded', { id: session.id, subject: session.subject, device })
  return answer
}

/** Whether the user still has this password, in a hash that was made anew by another login of theirs. */
async function isRehashed ({ settings }: Parts, user: SessionUser | undefined, credentials: Credentials | undefined): Promise<boolean> {
  if (user === undefined || user.disabled || credentials === undefined) return false
  return await fits(settings.passwords, credentials.password, String(user.passwordHash), credentials.signal)
}

/** From where a request comes. */
export function deviceOf (request: FastifyRequest): Device {
  const userAgent = request.headers['user-agent']?.slice(0, 256)
  return { ip: request.ip, ...(userAgent === undefined ? {} : { userAgent }) }
}

/** Aborted when the response is over: before it was sent, that means that nobody waits for it. */
export function hangUpOf (reply: FastifyReply): AbortSignal {
  const over = new AbortController()
  reply.raw.once('close', () => over.abort(new Error('The client is gone')))
  return over.signal
}

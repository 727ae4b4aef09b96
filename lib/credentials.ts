import type { FastifyRequest } from 'fastify'
import { isSessionError, sessionError } from './errors'
import { deviceOf, findByCredentials, login, type Credentials } from './login'
import { isUnchanged, lookUp } from './users'
import type { Parts } from './parts'
import type { Delivery, SessionUser, TokenAnswer } from '../types'

/**
 * Opens a session for who shows the right credentials, unless there were too many attempts.
 * @throws `TOO_MANY_ATTEMPTS`, `INVALID_CREDENTIALS`, `BUSY`, `STORE_UNAVAILABLE`.
 */
export async function loginByCredentials (
  parts: Parts, credentials: Credentials, request: FastifyRequest, delivery: Delivery
): Promise<TokenAnswer> {
  const { username, signal } = credentials
  const attempt = await parts.throttle.take(username, String(request.ip))
  if ('refused' in attempt) {
    const { refused: scope, retryAfter } = attempt
    parts.emit('login.throttled', { username, device: deviceOf(request), scope, retryAfter })
    throw sessionError('TOO_MANY_ATTEMPTS', { retryAfter })
  }
  try {
    const user = await findByCredentials(parts, credentials, request)
    const answer = await login(parts, user, request, delivery, credentials)
    await attempt.succeeded()
    // The client need not wait for it.
    renewHash(parts, user, credentials.password)
    return answer
  } catch (error) {
    // Who hangs up has used a place in the queue, and could do so without end.
    if (!isDenial(error)) await attempt.spared(!signal.aborted)
    throw error
  }
}

/** Whether an error says that the credentials are wrong, and not that they could not be judged. */
function isDenial (error: unknown): boolean {
  return isSessionError(error) && error.code === 'FST_JWT_SESSION_INVALID_CREDENTIALS'
}

/** Brings a hash that is older than what is made today up to it, with the password that was just right. Never rejects. */
async function renewHash ({ settings, emit }: Parts, user: SessionUser, password: string): Promise<void> {
  const { passwords, userLookup } = settings
  const { id: subject } = user
  const passwordHash = String(user.passwordHash)
  let renewed = passwordHash
  try {
    if (userLookup.updatePasswordHash === undefined || !passwords.needsRehash?.(passwordHash)) return
    renewed = await passwords.hash(password)
    // A password that was changed meanwhile must not come back.
    if (!isUnchanged(user, await lookUp(() => userLookup.findById(subject)))) return
    await userLookup.updatePasswordHash(user, renewed)
    emit('password.rehashed', { subject })
  } catch (error) {
    // Database clients like to quote what they were told to write.
    const reason = String(error).replaceAll(renewed, '…').replaceAll(passwordHash, '…')
    emit('rehash.failed', { subject, reason })
  }
}

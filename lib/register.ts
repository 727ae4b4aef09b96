import type { FastifyRequest } from 'fastify'
import { sessionError } from './errors'
import { lookUp } from './users'
import type { Credentials } from './login'
import type { Parts, Settings } from './parts'
import type { NewUser, SessionUser } from '../types'

/**
 * Makes a user of what a client sent.
 * @throws `USERNAME_TAKEN`, `REQUEST_INVALID` for a password that cannot be hashed, `STORE_UNAVAILABLE`, and what
 * `userLookup.create` answers by an error of its own.
 */
export async function register (
  { settings }: Parts, members: Record<string, unknown>, { password, signal }: Pick<Credentials, 'password' | 'signal'>, request: FastifyRequest
): Promise<SessionUser> {
  const { userLookup, usernameField } = settings
  const username = members[usernameField] as string
  if (await lookUp(() => userLookup.findByUsername(username, request)) !== undefined) throw sessionError('USERNAME_TAKEN')

  const input = { ...members, passwordHash: await hashPassword(settings, password, signal) }
  Object.defineProperty(input, 'password', { value: password, enumerable: false })
  const made = await lookUp(async () => {
    try {
      return { user: await userLookup.create?.(input as unknown as NewUser, request) }
    } catch (refusal) {
      const { statusCode } = refusal as { statusCode?: unknown }
      if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) return { refusal }
      throw refusal
    }
  })
  if (made?.refusal !== undefined) throw made.refusal
  if (made?.user == null) throw sessionError('USERNAME_TAKEN')
  return made.user
}

/** @throws `REQUEST_INVALID` for a password that the scheme would not read to its end, and for a client that is gone. */
export async function hashPassword ({ passwords }: Settings, password: string, signal?: AbortSignal): Promise<string> {
  try {
    if (typeof password !== 'string' || password === '') throw new RangeError('a password is a string that is not empty')
    return await passwords.hash(password, { signal })
  } catch (cause) {
    throw cause instanceof RangeError || signal?.aborted ? sessionError('REQUEST_INVALID', { cause }) : cause
  }
}

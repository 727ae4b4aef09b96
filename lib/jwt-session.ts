import { authorize } from './access'
import { deliver } from './deliver'
import { sessionError } from './errors'
import { login } from './login'
import { refresh } from './refresh'
import type { Parts } from './parts'
import type { JwtSession } from '../types'

/** The programmatic face of one registration: what the routes do, without HTTP. */
export function createJwtSession (parts: Parts): JwtSession {
  const { sessions, tokens, events, settings } = parts
  const { passwords, transport } = settings
  return Object.freeze<JwtSession>({
    events,
    login: async (user, request) => await login(parts, user, request, request && transport.deliver(request)),
    refresh: async (refreshToken) => await refresh(parts, refreshToken, undefined),
    verify: async (accessToken) => await authorize(parts, accessToken, null),
    deliver: (reply, answer) => deliver(settings, reply, answer, transport.deliver(reply.request)),
    clearCookies: (reply) => transport.cookies?.clear(reply),
    decode: (token) => tokens.decode(token),
    revoke: async ({ id, subject }) => await sessions.revoke({ id, subject }, 'called'),
    revokeAll: async (subject, { except } = {}) => await sessions.revokeAll(subject, 'called', except),
    list: async (subject) => await sessions.list(subject),
    verifyPassword: async (password, passwordHash) => await passwords.verify(password, passwordHash) === true,

    async hashPassword (password) {
      try {
        if (typeof password !== 'string' || password === '') throw new RangeError('a password is a string that is not empty')
        return await passwords.hash(password)
      } catch (cause) {
        throw cause instanceof RangeError ? sessionError('REQUEST_INVALID', { cause }) : cause
      }
    }
  })
}

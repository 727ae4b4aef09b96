import { authorize } from './access'
import { deliver } from './delivery'
import { login } from './login'
import { consumeOneTimeToken, issueOneTimeToken } from './one-time-tokens'
import { refresh } from './refresh'
import { hashPassword } from './register'
import type { Parts } from './parts'
import type { JwtSession } from '../types'

/** Callers hand on what strangers sent: what is no text is no token. */
const text = (token: unknown): string => typeof token === 'string' ? token : ''

/** The programmatic face of one registration: what the routes do, without HTTP. */
export function createJwtSession (parts: Parts): JwtSession {
  const { sessions, tokens, ring, events, settings } = parts
  const { passwords, transport } = settings
  return Object.freeze<JwtSession>({
    events,
    keys: ring.live,
    memory: parts.memory,
    login: async (user, request) => await login(parts, user, request, request && transport.deliver(request)),
    refresh: async (refreshToken) => await refresh(parts, text(refreshToken), undefined),
    verify: async (accessToken) => await authorize(parts, text(accessToken), null),
    deliver: (reply, answer) => deliver(settings, reply, answer, transport.deliver(reply.request)),
    clearCookies: (reply) => transport.cookies?.clear(reply),
    decode: (token) => tokens.decode(text(token)),
    revoke: async ({ id, subject }) => await sessions.revoke({ id, subject }, 'called'),
    revokeAll: async (subject, { except } = {}) => await sessions.revokeAll(subject, 'called', except),
    list: async (subject) => await sessions.list(subject),
    issueOneTimeToken: async (token) => await issueOneTimeToken(parts, token),
    consumeOneTimeToken: async (token, use) => await consumeOneTimeToken(parts, text(token), use),
    verifyPassword: async (password, passwordHash) => await passwords.verify(password, passwordHash) === true,
    hashPassword: async (password) => await hashPassword(settings, password)
  })
}

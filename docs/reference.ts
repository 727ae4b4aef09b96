/**
 * What `import … from 'fastify-jwt-session'` has, taken from the files where it is written. The plugin itself is the default export:
 * `await app.register(jwtSession, options)` with {@link JwtSessionOptions}.
 * @module fastify-jwt-session
 */
export * from '../types'
export { authenticate, requireClaims } from '../lib/hooks'
export { allOf, anyOf } from '../lib/claims'
export { memoryStore } from '../lib/stores/memory'
export { bcryptPasswords } from '../lib/passwords/bcrypt'
export { scryptPasswords } from '../lib/passwords/scrypt'
export { isSessionError, sessionErrors, type SessionError, type SessionErrorCode, type SessionErrorName } from '../lib/errors'

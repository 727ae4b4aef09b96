import { MANY_TOKENS, newKey, tokenMemory, TOKENS } from '../settings.mjs'

export const BARE = 'bare Fastify route'
export const JWT_VERIFY = '@fastify/jwt, await jwtVerify()'
const JWT_SYNC = '@fastify/jwt, jwt.verify in a hook'
const HOT = 'one claim'
const BESIDE_REDIS = 'one claim, an idle Redis client beside'
const BESIDE_POSTGRESQL = 'one claim, an idle PostgreSQL client beside'
const COLD = 'one claim, unseen'
const MANY = `one claim, ${MANY_TOKENS} tokens, memory too small`
const MANY_OFF = `one claim, ${MANY_TOKENS} tokens, memory off`

const keys = Object.fromEntries(['HS256', 'ES256', 'EdDSA'].map((algorithm) => [algorithm, newKey(algorithm)]))

/** A target of this package. Those that need a server, or an option that a version does not have, are optional. */
function own (name, { guard = 'one claim', algorithm = 'HS256', store = 'memory', memory = 'standard', count = TOKENS, ...rest }) {
  const settings = { guard, algorithm, store, key: keys[algorithm], memory: tokenMemory[memory], sessions: count + 1 }
  const isOptional = algorithm !== 'HS256' || store !== 'memory' || memory !== 'standard'
  return { name, module: 'jwt-session', group: 'short', isOptional, settings, ...rest }
}

function peer (name, module, settings = {}) {
  return { name, module, group: 'peers', isOptional: true, settings }
}

/**
 * What can be measured. `unseen`: each request carries a token that its server has never seen, of a session that it knows.
 * Names of this package say what differs from: one claim checked, memory store, HS256, 200 tokens in turn.
 */
export const targets = [
  { name: BARE, module: 'bare', group: 'short', settings: {} },
  { name: JWT_VERIFY, module: 'fastify-jwt', group: 'short', settings: { hook: 'promise' } },
  { name: JWT_SYNC, module: 'fastify-jwt', group: 'short', settings: { hook: 'sync' } },
  own('authenticate', { guard: 'authenticate' }),
  own(HOT, {}),
  own('four claims', { guard: 'four claims' }),
  own('one claim, Redis', { store: 'redis' }),
  own('one claim, PostgreSQL', { store: 'postgresql' }),
  own(BESIDE_REDIS, { store: 'memory beside redis' }),
  own(BESIDE_POSTGRESQL, { store: 'memory beside postgresql' }),
  own('one claim, ES256', { algorithm: 'ES256' }),
  own('one claim, EdDSA', { algorithm: 'EdDSA' }),
  own('authenticate, unseen', { guard: 'authenticate', unseen: 'HS256' }),
  own(COLD, { unseen: 'HS256' }),
  own('one claim, ES256, unseen', { algorithm: 'ES256', unseen: 'ES256', group: 'keys' }),
  own('one claim, EdDSA, unseen', { algorithm: 'EdDSA', unseen: 'EdDSA', group: 'keys' }),
  own(`one claim, ${MANY_TOKENS} tokens`, { count: MANY_TOKENS }),
  own(MANY, { memory: 'small', count: MANY_TOKENS }),
  own(MANY_OFF, { memory: 'off', count: MANY_TOKENS }),

  peer('hono/jwt', 'hono-jwt'),
  peer('@fastify/session, connect-redis', 'fastify-session'),
  peer('Express, passport-jwt, secret as KeyObject', 'express-passport-jwt', { isKeyObject: true }),
  peer('Express, passport-jwt, secret as string', 'express-passport-jwt', { isKeyObject: false }),
  peer('better-auth getSession, in memory', 'better-auth')
]

/** What the figures should be at least: one target's throughput as a share of another's. */
export const goals = [
  { target: HOT, of: BARE, least: 0.85 },
  { target: HOT, of: JWT_VERIFY, least: 2.3 },
  { target: 'one claim, Redis', of: HOT, least: 0.97 },
  { target: 'one claim, PostgreSQL', of: HOT, least: 0.97 },
  { target: 'one claim, Redis', of: BESIDE_REDIS, least: 0.97 },
  { target: 'one claim, PostgreSQL', of: BESIDE_POSTGRESQL, least: 0.97 },
  { target: 'one claim, ES256', of: HOT, least: 0.97 },
  { target: 'one claim, EdDSA', of: HOT, least: 0.97 },
  { target: COLD, of: JWT_VERIFY, least: 1 },
  { target: 'authenticate, unseen', of: JWT_SYNC, least: 1 / 1.1 },
  { target: MANY, of: MANY_OFF, least: 1 }
]

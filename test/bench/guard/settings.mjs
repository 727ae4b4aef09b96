import { generateKeyPairSync } from 'node:crypto'

/** Made for the measurements, and known to all servers of them. */
export const SECRET = 'm3Wq8ZtV1kYx6Rb0NfJd5HsLg9PcUe2A'

/** How many tokens go round, so that no server is flattered by one and the same. */
export const TOKENS = 200

/** More tokens than the memory of verified tokens is given room for below. */
export const MANY_TOKENS = 5000

/** The options of the plugin by which its memory of verified tokens is left alone, made too small, and switched off. */
export const tokenMemory = {
  standard: {},
  small: { tokenMemory: 1000 },
  off: { tokenMemory: false }
}

/** What every access token says beside the registered claims; the guards of four claims ask for all of it. */
export const CLAIMS = { role: 'admin', tenant: 'acme', plan: 'pro', region: 'eu' }

export const guards = {
  authenticate: (app) => app.authenticate,
  'one claim': (app) => app.requireClaims({ role: 'admin' }),
  'four claims': (app) => app.requireClaims(CLAIMS)
}

const pairs = {
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519')
}

/** What signs: the secret, or the PEM text of a new private key. */
export function newKey (algorithm) {
  return algorithm === 'HS256' ? SECRET : pairs[algorithm]().privateKey.export({ format: 'pem', type: 'pkcs8' })
}

/** The options of the plugin that say with what it signs. */
export function keyOptions (algorithm, key) {
  return algorithm === 'HS256' ? { secret: key } : { keys: [{ kid: 'bench', algorithm, privateKey: key }] }
}

export const REDIS_URL = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'
export const DATABASE_URL = process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/test'

/** A user for a number; all ids have one length, so that all answers have. */
export function userOf (number) {
  return { id: `user-${String(number).padStart(7, '0')}`, passwordHash: 'none' }
}

/** Names in servers that others use, too. */
export function newNamespace () {
  return `fjs_bench_${process.pid}_${Date.now().toString(36)}`
}

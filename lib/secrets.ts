import { createPublicKey } from 'node:crypto'
import { optionInvalid } from './errors'
import type { Secret } from '../types'

const MAKE_ONE = 'Make one with: openssl rand -base64 32'

/** Secrets that stand in documentation, templates and word lists, long enough to pass for one; in lower case. */
const KNOWN = new Set([
  'a-string-secret-at-least-256-bits-long',
  'a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long',
  'your-256-bit-secret-your-256-bit-secret',
  'your-super-secret-jwt-token-with-at-least-32-characters-long',
  'super-secret-jwt-token-with-at-least-32-characters-long',
  'your-secret-key-at-least-32-characters-long',
  'your-secret-key-must-be-at-least-32-characters-long',
  'your-secret-key-change-this-in-production',
  'your-super-secret-key-change-this-in-production',
  'your_super_secret_jwt_key_change_this_in_production',
  'your-super-secret-jwt-key-change-this-in-production',
  'this-is-a-very-long-secret-key-at-least-32-characters',
  'this is a secret key that is at least 32 characters long',
  'change-me-to-a-random-string-of-at-least-32-characters',
  'changeme-changeme-changeme-changeme',
  'please-change-me-please-change-me-please',
  'my-32-character-ultra-secure-and-ultra-long-secret',
  'thisisasecretkeythatisatleast32characterslong',
  'keyboard cat keyboard cat keyboard cat',
  'averylogphrasebiggerthanthirtytwochars',
  '0123456789abcdef0123456789abcdef',
  '00000000000000000000000000000000',
  '12345678901234567890123456789012',
  'abcdefghijklmnopqrstuvwxyz123456',
  'abcdefghijklmnopqrstuvwxyz012345',
  'abcdefghijklmnopqrstuvwxyzabcdef'
])

/** The secrets of an option that takes one or several, copied; the first signs. */
export function readSecrets (value: unknown): readonly Secret[] {
  const secrets: readonly unknown[] = Array.isArray(value) ? [...value] : [value]
  if (secrets.length === 0) throw optionInvalid('secret', 'is an empty list', MAKE_ONE)
  return secrets.map((secret) => readSecret('secret', secret, 32))
}

/** A secret for an HMAC, copied. `leastBytes`: the length of the hash (RFC 7518 section 3.2). */
export function readSecret (option: string, secret: unknown, leastBytes: number): Secret {
  const remedy = leastBytes === 32 ? MAKE_ONE : `Make one with: openssl rand -base64 ${leastBytes}`
  if (secret === undefined || secret === null) throw optionInvalid(option, 'is missing', `Is the environment variable set? ${remedy}`)
  if (typeof secret !== 'string' && !Buffer.isBuffer(secret)) throw optionInvalid(option, 'is neither a string nor a Buffer', remedy)
  if (Buffer.byteLength(secret) < leastBytes) throw optionInvalid(option, `is shorter than ${leastBytes} bytes`, remedy)
  const text = secret.toString().trim()
  if (KNOWN.has(text.toLowerCase())) throw optionInvalid(option, 'is known to everybody', remedy)
  // Whoever holds the public half of a pair could sign with it (RFC 8725 section 3.1).
  if (text.includes('-----BEGIN ') || text.includes('"kty"') || isDer(Buffer.from(secret as string)) || isDer(Buffer.from(text, 'base64'))) {
    throw optionInvalid(option, 'is a PEM, DER or JWK key, which a MAC must not be made with', remedy)
  }
  return typeof secret === 'string' ? secret : Buffer.from(secret)
}

function isDer (key: Buffer): boolean {
  return (['spki', 'pkcs1'] as const).some((type) => {
    try {
      return createPublicKey({ key, format: 'der', type }) !== undefined
    } catch {
      // Not a key of this form, then.
      return false
    }
  })
}

/** Whether a secret holds too little variety to have been made at random. */
export function isGuessable (secret: Secret): boolean {
  return new Set(Buffer.from(secret as string)).size < 10
}

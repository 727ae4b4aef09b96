import { optionInvalid } from './errors'
import { readKey, type CheckedKey } from './keys'
import type { JwkSet } from '../types'

/**
 * The keys of a JSON Web Key Set that verify tokens. Each says itself which algorithm it is for: that is never taken from a
 * token. What is for other purposes, symmetric or private is passed over.
 */
export function keysOfSet (set: unknown): readonly CheckedKey[] {
  const jwks: unknown = (set as JwkSet | null | undefined)?.keys
  if (!Array.isArray(jwks)) throw optionInvalid('jwks', 'is not a JSON Web Key Set', 'Give { keys: […] }, or { url } where there is one')
  const keys = jwks.flatMap((jwk) => usableKey(jwk) ?? [])
  if (keys.length === 0) throw optionInvalid('jwks', 'holds no key that can be used', 'A key needs kid, alg, no other use than sig, and no private members')
  if (new Set(keys.map(({ kid }) => kid)).size < keys.length) throw optionInvalid('jwks', 'has two keys of one kid', 'Give every key its own')
  return keys
}

function usableKey (jwk: unknown): CheckedKey | undefined {
  const { kid, alg, use = 'sig', key_ops: operations = ['verify'] } = (jwk ?? {}) as Record<string, unknown>
  if (use !== 'sig' || !Array.isArray(operations) || !operations.includes('verify')) return undefined
  try {
    return readKey('jwks', { kid, algorithm: alg, publicKey: jwk })
  } catch {
    return undefined
  }
}

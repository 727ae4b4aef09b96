import { createSecretKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { Key, KeyAlgorithm } from '../../lib'

/** A key as the option takes it, and as a forger of tests does. */
export interface TestKey {
  option: Key
  signs: KeyObject
  /** Undefined for a secret. */
  publicKey: KeyObject | undefined
}

const MAKERS = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519')
}

const SECRETS = { HS256: 32, HS384: 48, HS512: 64 }

/** A new key. Of pairs the option gets the private key only. */
export function makeKey (algorithm: KeyAlgorithm, kid: string): TestKey {
  if (algorithm === 'HS256' || algorithm === 'HS384' || algorithm === 'HS512') {
    const secret = Buffer.from(Array.from({ length: SECRETS[algorithm] }, (_, index) => (index * 37 + kid.length + kid.charCodeAt(0)) % 251))
    return { option: { kid, algorithm, secret }, signs: createSecretKey(secret), publicKey: undefined }
  }
  const { privateKey, publicKey } = MAKERS[algorithm]()
  return { option: { kid, algorithm, privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string }, signs: privateKey, publicKey }
}

/** The public half of a key, as the option takes it. */
export function publicOption ({ option: { kid, algorithm }, publicKey }: TestKey): Key {
  return { kid, algorithm, publicKey } as Key
}

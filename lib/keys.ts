import { createPrivateKey, createPublicKey, KeyObject, type JsonWebKey } from 'node:crypto'
import { optionInvalid } from './errors'
import { refuseUnknown } from './option-values'
import { isGuessable, readSecret, readSecrets } from './secrets'
import type { Key, KeyAlgorithm, Secret, SecretOption } from '../types'

/** A key after its check. */
export interface CheckedKey {
  /** Undefined for the option `secret`, whose tokens name no key. */
  readonly kid: string | undefined
  readonly algorithm: KeyAlgorithm
  readonly canSign: boolean
  /** What signs and verifies; pairs as PEM. */
  readonly material: Secret | { readonly private: string | undefined, readonly public: string }
  /** What may be published; undefined for a secret. */
  readonly publicJwk: JsonWebKey | undefined
}

/** The keys of a registration, and which of them signs. */
export interface KeySettings {
  readonly keys: readonly CheckedKey[]
  readonly signing: CheckedKey | undefined
}

const KID = /^[\w.-]{1,64}$/

/** The length of the hash, in bytes. */
const HASHES: Readonly<Record<string, number>> = { HS256: 32, HS384: 48, HS512: 64 }

/** Why a key does not fit its algorithm, if it does not (RFC 7518 sections 3.3 to 3.5, RFC 8037 section 3.1). */
const MISFITS: Readonly<Record<string, (key: KeyObject) => string | false>> = {
  RS256: rsaMisfit,
  PS256: rsaMisfit,
  ES256: ({ asymmetricKeyDetails: details }) => details?.namedCurve !== 'prime256v1' && 'is not a key of the curve P-256',
  EdDSA: ({ asymmetricKeyType: type }) => type !== 'ed25519' && 'is not an Ed25519 key'
}

function rsaMisfit ({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): string | false {
  if (type !== 'rsa') return 'is not an RSA key'
  if ((details?.modulusLength as number) < 2048) return 'is an RSA key of less than 2048 bits'
  return (details?.publicExponent as bigint) < 65_537n && 'is an RSA key with a public exponent below 65537'
}

const SECRET_ALGORITHMS: readonly string[] = Object.keys(HASHES)
const PAIR_ALGORITHMS: readonly string[] = Object.keys(MISFITS)

/** The keys of the options `keys` and `secret`, checked and copied. */
export function readKeys ({ keys, secret }: { keys?: unknown, secret?: SecretOption }, mustSign: boolean): KeySettings {
  const named = keys === undefined ? [] : readNamed(keys)
  const unnamed = keys !== undefined && secret === undefined ? [] : readSecrets(secret).map(unnamedKey)
  const checked = [...named.map(({ key }) => key), ...unnamed]
  if (!mustSign) return { keys: checked, signing: undefined }

  const index = named.findIndex(({ isForSigning }) => isForSigning)
  const signing = named[index]?.key ?? unnamed[0]
  if (signing === undefined) throw optionInvalid('keys', 'holds no key that signs', "Take use: 'verify' from the one that is to sign")
  if (!signing.canSign) throw optionInvalid(`keys[${index}]`, 'is to sign, and has no privateKey', "Give it, or say use: 'verify'")
  return { keys: checked, signing }
}

function readNamed (keys: unknown): { key: CheckedKey, isForSigning: boolean }[] {
  if (!Array.isArray(keys) || keys.length === 0) throw optionInvalid('keys', 'is not a list of keys', 'Give at least one')
  const kids = new Set<string | undefined>()
  return keys.map((value: Key, index) => {
    const key = readKey(`keys[${index}]`, value)
    if (kids.has(key.kid)) throw optionInvalid(`keys[${index}].kid`, 'is the kid of another key, too', 'Give every key its own')
    kids.add(key.kid)
    return { key, isForSigning: value.use === undefined }
  })
}

function unnamedKey (secret: Secret): CheckedKey {
  return { kid: undefined, algorithm: 'HS256', canSign: true, material: secret, publicJwk: undefined }
}

/** One key of the option `keys`, checked and copied. */
export function readKey (option: string, value: unknown): CheckedKey {
  refuseUnknown(option, value, ['kid', 'algorithm', 'secret', 'privateKey', 'publicKey', 'use'])
  const { kid, algorithm, secret, privateKey, publicKey, use } = value as Record<string, unknown>
  if (typeof kid !== 'string' || !KID.test(kid)) {
    throw optionInvalid(`${option}.kid`, 'is not a string of 1 to 64 letters, digits, _, - or .', 'Give a name that no other key ever has')
  }
  if (use !== undefined && use !== 'verify') throw optionInvalid(`${option}.use`, "is something else than 'verify'", 'Leave it out for a key that may sign')
  const isPair = PAIR_ALGORITHMS.includes(algorithm as string)
  if (!isPair && !SECRET_ALGORITHMS.includes(algorithm as string)) {
    throw optionInvalid(`${option}.algorithm`, 'is not an algorithm that is known', `Give one of ${[...SECRET_ALGORITHMS, ...PAIR_ALGORITHMS].join(', ')}`)
  }
  if (isPair ? secret !== undefined : privateKey !== undefined || publicKey !== undefined) {
    throw optionInvalid(option, 'has a key of another kind than its algorithm', 'Give HS algorithms a secret, others a privateKey or a publicKey')
  }
  const named = { kid, algorithm: algorithm as KeyAlgorithm }
  return isPair
    ? { ...named, ...readPair(option, named.algorithm, privateKey, publicKey) }
    : { ...named, canSign: true, material: readSecret(`${option}.secret`, secret, HASHES[named.algorithm] as number), publicJwk: undefined }
}

function readPair (option: string, algorithm: KeyAlgorithm, privateKey: unknown, publicKey: unknown): Omit<CheckedKey, 'kid' | 'algorithm'> {
  if (privateKey === undefined && publicKey === undefined) {
    throw optionInvalid(option, 'has neither a privateKey nor a publicKey', 'Is the environment variable set? One of the two suffices')
  }
  const own = privateKey === undefined ? undefined : openKey(`${option}.privateKey`, privateKey, 'private', algorithm)
  const given = publicKey === undefined ? undefined : openKey(`${option}.publicKey`, publicKey, 'public', algorithm)
  const open = given ?? createPublicKey(own as KeyObject)
  if (own !== undefined && !createPublicKey(own).equals(open)) {
    throw optionInvalid(`${option}.publicKey`, 'does not belong to the privateKey', 'Leave it out: it is in the other')
  }
  return {
    canSign: own !== undefined,
    material: {
      private: own?.export({ type: 'pkcs8', format: 'pem' }) as string | undefined,
      public: open.export({ type: 'spki', format: 'pem' }) as string
    },
    publicJwk: open.export({ format: 'jwk' })
  }
}

function openKey (option: string, value: unknown, type: 'private' | 'public', algorithm: KeyAlgorithm): KeyObject {
  const key = keyObjectOf(value, type)
  if (key?.type !== type) throw optionInvalid(option, `is not a ${type} key that can be read`, `Give a ${type} key as PEM, KeyObject or JWK, not encrypted`)
  const named = (value as JsonWebKey).alg ?? algorithm
  const misfit = named !== algorithm ? 'is a JWK for another algorithm' : MISFITS[algorithm]?.(key)
  if (misfit) throw optionInvalid(option, misfit, `Give a key that was made for ${algorithm}`)
  return key
}

function keyObjectOf (value: unknown, type: 'private' | 'public'): KeyObject | undefined {
  if (value instanceof KeyObject) return value
  const isText = typeof value === 'string' || Buffer.isBuffer(value)
  const source = isText ? value : { key: value as JsonWebKey, format: 'jwk' as const }
  try {
    // Of a private key Node would take the public half, where a private key has no business to be.
    const isPrivate = isText ? value.includes('PRIVATE KEY') : Object.hasOwn(value as object, 'd')
    return type === 'private' ? createPrivateKey(source) : isPrivate ? undefined : createPublicKey(source)
  } catch {
    return undefined
  }
}

/** What may be wrong with the secrets among keys, though it works; for the log. */
export function warningsOf (keys: readonly CheckedKey[]): string[] {
  const isWeak = keys.some(({ publicJwk, material }) => publicJwk === undefined && isGuessable(material as Secret))
  return isWeak ? ['the secret looks like one that was made up by hand: use random bytes'] : []
}

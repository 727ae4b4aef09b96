import { isDeepStrictEqual } from 'node:util'
import { createEngine, TOKEN_TYPES, type Engine, type Header, type TokenType } from './engine'
import { optionInvalid } from './errors'
import { freezeDeep } from './frozen'
import { readKey, type CheckedKey, type KeySettings } from './keys'
import { isSegment, parseSegment } from './segments'
import type { HeaderSettings } from './header-fields'
import type { JwkSet, KeyRing } from '../types'

export interface RingSettings extends KeySettings {
  readonly header: Pick<HeaderSettings<unknown>, 'fields' | 'allows'>
}

/** A token whose signature is right. What it claims has still to be looked at. */
export interface Signed {
  /** Frozen, and shared by all tokens that have the same. */
  readonly header: Header
  readonly payload: Record<string, unknown>
}

/** Keys that come and go while others sign and verify. */
export interface Ring {
  /** What the application may do with it. */
  readonly live: KeyRing
  sign (type: TokenType, claims: object, extra: Header | undefined): string
  /** Undefined for what is not a token of this type, in its one spelling, by the key that it names. Never throws. */
  verify (token: string, type: TokenType): Signed | undefined
  /** Whether a token names a key that is not here. */
  isForeign (token: string): boolean
  /** Puts other keys in the place of all. */
  replace (keys: readonly CheckedKey[]): void
  /** What may be published. */
  jwkSet (): JwkSet
  /** Calls back when tokens that were right a moment ago no longer are. */
  onRetire (call: () => void): void
}

/** A header, and the keys that a token with it may be signed by. */
interface Slot {
  readonly type: TokenType
  readonly header: Header
  readonly engines: readonly Engine[]
}

export function createKeyRing ({ keys, signing, header: { fields, allows } }: RingSettings): Ring {
  const retired: (() => void)[] = []
  let engines = keys.map((key) => createEngine(key, fields))
  let signer = engines.find(({ key }) => key === signing)
  /** By the text of a header. One look-up answers what kind of token it is, and which key it names. */
  let slots = slotsOf(engines)

  function change (next: readonly Engine[]): void {
    const isLess = engines.some((engine) => !next.includes(engine))
    engines = [...next]
    slots = slotsOf(engines)
    if (isLess) for (const call of retired) call()
  }

  function byKid (kid: string | undefined): readonly Engine[] {
    return engines.filter(({ key }) => key.kid === kid)
  }

  function named (act: string, kid: string | null): readonly [Engine, ...Engine[]] {
    const [first, ...more] = byKid(kid ?? undefined)
    if (first === undefined) throw optionInvalid(`keys.${act}()`, 'names no key that is there', 'Look at keys.list()')
    return [first, ...more]
  }

  /** The slot of a header in another spelling than ours: other nodes and other libraries may order its members as they like. */
  function slotOf (segment: string): Slot | undefined {
    const header = parseSegment(segment)
    if (header === undefined) return undefined
    const { alg, typ, kid, ...extra } = header
    if (!TOKEN_TYPES.includes(typ as TokenType) || (kid !== undefined && typeof kid !== 'string')) return undefined
    // Nothing that could be critical is left to be understood or ignored: crit, b64, jwk, zip …
    if (!Object.keys(extra).every((name) => typ === 'at+jwt' && allows(name))) return undefined
    return { type: typ as TokenType, header: freezeDeep(header), engines: byKid(kid).filter(({ key }) => key.algorithm === alg) }
  }

  const live = Object.freeze<KeyRing>({
    list: () => engines.map((engine) =>
      ({ kid: engine.key.kid ?? null, algorithm: engine.key.algorithm, use: engine === signer ? 'sign' : 'verify' })),

    async add (value) {
      const key = readKey('keys.add()', value)
      if (byKid(key.kid).length > 0) throw optionInvalid('keys.add()', 'has the kid of a key that is there', 'Give every key its own')
      change([...engines, createEngine(key, fields)])
    },

    promote (kid) {
      const [engine] = named('promote', kid)
      if (engine.sign === undefined) throw optionInvalid('keys.promote()', 'names a key that cannot sign', 'Add it with its privateKey')
      signer = engine
    },

    retire (kid) {
      const gone = named('retire', kid)
      if (gone.some((engine) => engine === signer)) throw optionInvalid('keys.retire()', 'names the key that signs', 'Promote another one before')
      change(engines.filter((engine) => !gone.includes(engine)))
    }
  })

  return {
    live,

    sign (type, claims, extra) {
      if (signer?.sign === undefined) throw optionInvalid('keys', 'holds no key that signs', 'Issue tokens where there is one')
      return signer.sign(type, claims, extra)
    },

    verify (token, type) {
      const head = token.indexOf('.')
      const tail = token.lastIndexOf('.')
      if (head >= tail) return undefined
      const segment = token.slice(0, head)
      const slot = slots.get(segment) ?? slotOf(segment)
      if (slot?.type !== type) return undefined
      const last = token.slice(tail + 1)
      if (!isSegment(last)) return undefined
      const text = token.slice(0, tail)
      const signature = Buffer.from(last, 'base64url')
      if (!slot.engines.some((engine) => engine.isSigned(text, signature))) return undefined
      const payload = parseSegment(token.slice(head + 1, tail))
      return payload && { header: slot.header, payload }
    },

    isForeign (token) {
      const segment = token.slice(0, token.indexOf('.'))
      const kid = slots.has(segment) ? undefined : parseSegment(segment)?.kid
      return typeof kid === 'string' && byKid(kid).length === 0
    },

    replace (keys) {
      change(keys.map((key) => engines.find((engine) => isDeepStrictEqual(engine.key, key)) ?? createEngine(key, fields)))
    },

    jwkSet: () => ({
      keys: engines.flatMap(({ key: { kid, algorithm, publicJwk } }) =>
        publicJwk === undefined ? [] : [{ ...publicJwk, kid, alg: algorithm, use: 'sig' }])
    }),

    onRetire: (call) => { retired.push(call) }
  }
}

function slotsOf (engines: readonly Engine[]): Map<string, Slot> {
  const slots = new Map<string, Slot>()
  for (const engine of engines) {
    for (const [type, header] of Object.entries(engine.headers) as [TokenType, Header][]) {
      const segment = Buffer.from(JSON.stringify(header)).toString('base64url')
      const others = slots.get(segment)?.engines ?? []
      slots.set(segment, { type, header: freezeDeep({ ...header }), engines: [...others, engine] })
    }
  }
  return slots
}

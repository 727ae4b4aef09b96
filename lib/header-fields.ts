import { optionInvalid } from './errors'
import { frozenCopy } from './frozen'
import type { HeaderFields } from '../types'

/** What says how a token is to be read, or by which key: nobody but the plugin writes it, and most of it nobody at all. */
const RESERVED = new Set([
  'alg', 'typ', 'kid', 'crit', 'b64', 'zip', 'enc', 'cty', 'jwk', 'jku', 'x5u', 'x5c', 'x5t', 'x5t#S256', '__proto__'
])

/** The option `header` after its check. */
export interface HeaderSettings<Make> {
  /** What every access token has. */
  readonly fields: HeaderFields
  /** What makes the rest for one token. */
  readonly make: Make | undefined
  /** Whether the header of an access token may have a member of this name, beside `alg`, `typ` and `kid`. */
  allows (name: string): boolean
}

export function readHeader<Make> (option: HeaderFields | Make | undefined): HeaderSettings<Make> {
  if (typeof option === 'function') return { fields: {}, make: option as Make, allows: (name) => !RESERVED.has(name) }
  const fields = checkedFields(option ?? {})
  return { fields, make: undefined, allows: (name) => Object.hasOwn(fields, name) }
}

/** Extra members of a header, copied. */
export function checkedFields (value: unknown): HeaderFields {
  const fields: unknown = frozenCopy(value ?? null)
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    throw optionInvalid('header', 'is not an object', 'Give an object, or a function that returns one')
  }
  for (const name of Object.keys(fields)) {
    if (RESERVED.has(name)) throw optionInvalid('header', `has ${name}, which is reserved`, 'Give the member another name')
  }
  return fields as HeaderFields
}

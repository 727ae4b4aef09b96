import { after } from './awaitable'
import { optionInvalid } from './errors'
import type { AnyRequirement, Awaitable, ClaimChoice, ClaimValue } from '../types'

/** Looks at a value of a token; claims that are not there have been refused before. */
type Check = (value: unknown) => Awaitable<boolean>

const REMEDY = 'Give a value, anyOf(…), allOf(…), a predicate, or an object of these'

/**
 * A requirement that one of these values is, or is among, the claim's.
 *
 * @example
 * ```ts
 * import { anyOf } from 'fastify-jwt-session'
 *
 * app.get('/drafts', { onRequest: [app.requireClaims({ roles: anyOf('admin', 'editor') })] }, () => ({ drafts: [] }))
 * ```
 */
export function anyOf<Value extends ClaimValue> (...values: Value[]): ClaimChoice<Value> {
  return choice('any', values)
}

/**
 * A requirement that all of these values are among the claim's.
 *
 * @example
 * ```ts
 * import { allOf } from 'fastify-jwt-session'
 *
 * app.get('/drafts', { onRequest: [app.requireClaims({ roles: allOf('admin', 'editor') })] }, () => ({ drafts: [] }))
 * ```
 */
export function allOf<Value extends ClaimValue> (...values: Value[]): ClaimChoice<Value> {
  return choice('all', values)
}

function choice<Value extends ClaimValue> (quantifier: 'any' | 'all', values: Value[]): ClaimChoice<Value> {
  if (values.length === 0) throw optionInvalid(`${quantifier}Of()`, 'without values asks for nothing', 'Name the values')
  return new Choice(quantifier, Object.freeze([...values]))
}

/** A class, so that no object of requirements is ever taken for a choice. */
class Choice<Value> implements ClaimChoice<Value> {
  constructor (readonly quantifier: 'any' | 'all', readonly values: readonly Value[]) {}
}

/** Makes one function of an object of requirements, and refuses those that make no sense. */
export function compileRequirements (requirements: { readonly [name: string]: AnyRequirement }, path = 'requireClaims'): Check {
  if (!isPlainObject(requirements)) throw optionInvalid(path, 'takes an object of requirements', REMEDY)
  const entries = Object.entries(requirements)
  if (entries.length === 0) throw optionInvalid(path, 'without requirements checks nothing', 'Use authenticate')
  const checks = entries.map(([name, requirement]) => [name, compile(requirement, `${path}.${name}`)] as const)

  function holdsFrom (index: number, claims: Record<string, unknown>): Awaitable<boolean> {
    for (let next = index; next < checks.length; next++) {
      const [name, check] = checks[next] as typeof checks[number]
      if (!Object.hasOwn(claims, name)) return false
      const verdict = check(claims[name])
      if (verdict === false) return false
      if (verdict !== true) return after(verdict, (holds) => holds && holdsFrom(next + 1, claims))
    }
    return true
  }

  return (claims) => typeof claims === 'object' && claims !== null && !Array.isArray(claims) &&
    holdsFrom(0, claims as Record<string, unknown>)
}

function compile (requirement: AnyRequirement, path: string): Check {
  if (requirement instanceof Choice) return compileChoice(requirement, path)
  if (typeof requirement === 'function') {
    const predicate = requirement as (value: unknown) => Awaitable<boolean>
    return (value) => after(predicate(value), (verdict) => verdict === true)
  }
  if (isClaimValue(requirement)) return (value) => includes(value, requirement)
  if (Array.isArray(requirement)) {
    throw optionInvalid(path, 'is an array, which could mean any or all of its values', 'Use anyOf(…) or allOf(…)')
  }
  return compileRequirements(requirement as { readonly [name: string]: AnyRequirement }, path)
}

function compileChoice ({ quantifier, values }: ClaimChoice<unknown>, path: string): Check {
  if (!values.every(isClaimValue)) throw optionInvalid(path, 'chooses among something else than plain values', 'Use a predicate')
  return quantifier === 'any'
    ? (value) => values.some((wanted) => includes(value, wanted))
    : (value) => values.every((wanted) => includes(value, wanted))
}

/** Equals or, being an array, contains. Never by coercion, never a part of a string. */
function includes (value: unknown, wanted: unknown): boolean {
  return value === wanted || (Array.isArray(value) && value.includes(wanted))
}

function isClaimValue (value: unknown): value is ClaimValue {
  return value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)
}

function isPlainObject (value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Choice)
}

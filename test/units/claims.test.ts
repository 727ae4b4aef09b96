import fc from 'fast-check'
import t from 'tap'
import { allOf, anyOf, compileRequirements } from '../../lib/claims'
import type { AnyRequirement } from '../../types'

const holds = (requirements: Record<string, unknown>, claims: unknown) =>
  compileRequirements(requirements as Record<string, AnyRequirement>)(claims)

t.test('a value is equalled, or contained in an array', async (t) => {
  t.equal(holds({ role: 'admin' }, { role: 'admin' }), true)
  t.equal(holds({ role: 'admin' }, { role: ['reader', 'admin'] }), true)
  t.equal(holds({ level: 3 }, { level: 3 }), true)
  t.equal(holds({ verified: true }, { verified: true }), true)
  t.equal(holds({ gone: null }, { gone: null }), true)
})

t.test('nothing is coerced, cut or inherited', async (t) => {
  const wrong: unknown[] = [
    'Admin', 'admin ', 'superadmin', 'admi', '', 1, true, null, undefined, {}, [], [['admin']], { admin: true }, { 0: 'admin', length: 1 },
    { includes: true }, { toString: 'admin' }
  ]
  for (const role of wrong) t.equal(holds({ role: 'admin' }, { role }), false, JSON.stringify(role))
  t.equal(holds({ role: 'admin' }, Object.create({ role: 'admin' })), false, 'an inherited claim')
  t.equal(holds({ toString: () => true }, {}), false, 'an inherited method')
  t.equal(holds({ level: 1 }, { level: '1' }), false)
  t.equal(holds({ ok: true }, { ok: 1 }), false)
  t.equal(holds(JSON.parse('{"__proto__": "x"}'), {}), false)
})

t.test('anyOf, allOf, predicates, nesting, several', async (t) => {
  t.equal(holds({ role: anyOf('admin', 'editor') }, { role: 'editor' }), true)
  t.equal(holds({ role: anyOf('admin', 'editor') }, { role: ['editor'] }), true)
  t.equal(holds({ role: anyOf('admin', 'editor') }, { role: 'reader' }), false)
  t.equal(holds({ role: allOf('admin', 'editor') }, { role: ['editor', 'x', 'admin'] }), true)
  t.equal(holds({ role: allOf('admin', 'editor') }, { role: ['editor'] }), false)
  t.equal(holds({ age: (age: number) => age >= 18 }, { age: 18 }), true)
  t.equal(holds({ age: () => { throw new Error('asked') } }, {}), false, 'a predicate is not asked about what is not there')
  t.equal(holds({ age: () => 'yes' }, { age: 1 }), false, 'a predicate answers true, and nothing else')
  t.equal(holds({ org: { plan: 'pro', region: anyOf('eu') } }, { org: { plan: 'pro', region: 'eu', more: 1 } }), true)
  for (const org of [{ plan: 'pro' }, 'pro', null, ['pro'], { plan: ['free'], region: 'eu' }]) {
    t.equal(holds({ org: { plan: 'pro', region: 'eu' } }, { org }), false, JSON.stringify(org))
  }
  t.equal(holds({ a: 1, b: 2 }, { a: 1, b: 2 }), true)
  t.equal(holds({ a: 1, b: 2 }, { a: 1, b: 3 }), false)
})

t.test('a predicate may be asynchronous, and is awaited', async (t) => {
  const later = (verdict: unknown) => async () => verdict
  t.equal(await holds({ a: later(true), b: 1 }, { a: 0, b: 1 }), true)
  t.equal(await holds({ a: later(true), b: 1 }, { a: 0, b: 2 }), false)
  t.equal(await holds({ a: later(false), b: 1 }, { a: 0, b: 1 }), false)
  t.equal(await holds({ a: later('true') }, { a: 0 }), false)
  t.equal(await holds({ n: { a: later(true) }, b: later(true) }, { n: { a: 0 }, b: 1 }), true)

  // Thenables of other libraries: what their `then` returns says nothing.
  for (const verdict of [true, false]) {
    const thenable = { then (resolve: (value: boolean) => void) { resolve(verdict); return !verdict } }
    t.equal(await holds({ a: (() => thenable) as never, b: 1 }, { a: 0, b: 1 }), verdict)
  }
})

t.test('requirements that make no sense are refused when the route is declared', async (t) => {
  const senseless: unknown[] = [
    undefined, null, 'admin', 1, [], ['admin'], {}, { role: undefined }, { role: ['a'] }, { role: NaN }, { role: {} }, { a: { b: [] } }, { role: Symbol('x') }
  ]
  for (const requirements of senseless) {
    t.throws(() => compileRequirements(requirements as never), { code: 'FST_JWT_SESSION_OPTION_INVALID' }, String(JSON.stringify(requirements)))
  }
  t.throws(() => anyOf(), { code: 'FST_JWT_SESSION_OPTION_INVALID' })
  t.throws(() => allOf(), { code: 'FST_JWT_SESSION_OPTION_INVALID' })
  t.throws(() => holds({ role: anyOf({} as never) }, {}), { code: 'FST_JWT_SESSION_OPTION_INVALID' })
})

t.test('a string requirement holds for that string and arrays with it, and for nothing else', async () => {
  fc.assert(fc.property(fc.string(), fc.jsonValue(), (wanted, value) => {
    const isThere = value === wanted || (Array.isArray(value) && value.includes(wanted))
    return holds({ claim: wanted }, { claim: value }) === isThere
  }), { numRuns: 3000 })
})

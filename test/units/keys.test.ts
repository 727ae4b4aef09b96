import { createSecretKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import t from 'tap'
import { readHeader } from '../../lib/header-fields'
import { keysOfSet } from '../../lib/jwk-set'
import { createKeyRing, type Ring } from '../../lib/key-ring'
import { readKeys, warningsOf } from '../../lib/keys'
import { forgeBy, forgeOver, parse, seal, segment } from '../support/forge'
import { makeKey, publicOption, type TestKey } from '../support/keys'
import type { HeaderFields, Key, KeyAlgorithm, SecretOption } from '../../types'

const ALGORITHMS: KeyAlgorithm[] = ['HS256', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'EdDSA']
const SECRET = 'k7QmT2vX9dLr4WzB8nHc3YpJ6sFg1AeU'
const INVALID = { code: 'FST_JWT_SESSION_OPTION_INVALID' }

const made = Object.fromEntries(ALGORITHMS.map((algorithm) => [algorithm, makeKey(algorithm, algorithm)])) as Record<KeyAlgorithm, TestKey>

async function ringOf (options: { keys?: unknown[], secret?: SecretOption }, header?: HeaderFields | (() => HeaderFields)): Promise<Ring> {
  return createKeyRing({ ...readKeys(options, true), header: readHeader(header) })
}

function refusal (...keys: unknown[]): string {
  try {
    readKeys({ keys }, true)
  } catch (error) {
    const { code, message } = error as { code: string, message: string }
    return code === INVALID.code ? message : `${code}: ${message}`
  }
  return 'accepted'
}

t.test('every algorithm signs and verifies, in every form that its key may have', async (t) => {
  for (const { option, signs, publicKey } of Object.values(made)) {
    const { algorithm } = option
    const forms: unknown[] = publicKey === undefined
      ? [option]
      : [
          option,
          { ...option, privateKey: signs },
          { ...option, privateKey: signs.export({ format: 'jwk' }) },
          { ...option, privateKey: { ...signs.export({ format: 'jwk' }), alg: algorithm } },
          { ...option, privateKey: Buffer.from(signs.export({ type: 'pkcs8', format: 'pem' })), publicKey },
          { ...option, publicKey: publicKey.export({ type: 'spki', format: 'pem' }) },
          { ...option, publicKey: publicKey.export({ format: 'jwk' }) }
        ]
    if (algorithm === 'RS256') forms.push({ ...option, privateKey: signs.export({ type: 'pkcs1', format: 'pem' }) })
    if (algorithm === 'ES256') forms.push({ ...option, privateKey: signs.export({ type: 'sec1', format: 'pem' }) })
    for (const form of forms) {
      const ring = await ringOf({ keys: [form] })
      const token = ring.sign('at+jwt', { sub: 'x' }, undefined)
      t.match(ring.verify(token, 'at+jwt'), { header: { alg: algorithm, typ: 'at+jwt', kid: algorithm }, payload: { sub: 'x' } }, algorithm)
      t.equal(ring.verify(token, 'rt+jwt'), undefined)
      t.match(ring.verify(forgeBy(algorithm, signs, parse(token).header, { sub: 'y' }), 'at+jwt'), { payload: { sub: 'y' } }, 'and what others sign by the same standard')
    }
  }
  const text = await ringOf({ keys: [{ kid: 'text', algorithm: 'HS512', secret: 'é'.repeat(32) }] })
  const forged = forgeBy('HS512', createSecretKey(Buffer.from('é'.repeat(32))), { alg: 'HS512', typ: 'at+jwt', kid: 'text' }, {})
  t.ok(text.verify(forged, 'at+jwt'), 'text is UTF-8')
})

t.test('a key verifies with its own algorithm only, and only under its kid', async (t) => {
  const ring = await ringOf({ keys: Object.values(made).map(({ option }) => option) })
  const shared = { RS256: made.RS256, PS256: made.RS256, HS256: made.HS256, HS384: made.HS256, HS512: made.HS256 }
  for (const [algorithm, { option, signs }] of Object.entries(shared)) {
    const header = { alg: algorithm, typ: 'at+jwt', kid: option.kid }
    t.equal(ring.verify(forgeBy(algorithm, signs, header, {}), 'at+jwt') !== undefined, algorithm === option.algorithm, algorithm)
    t.equal(ring.verify(forgeBy(algorithm, signs, { ...header, alg: option.algorithm }, {}), 'at+jwt') !== undefined, algorithm === option.algorithm)
  }
  for (const { option: { kid, algorithm }, signs } of Object.values(made)) {
    for (const other of [...ALGORITHMS, undefined, null, 'none', '__proto__', [kid], { kid }]) {
      const token = forgeBy(algorithm, signs, { alg: algorithm, typ: 'at+jwt', kid: other }, {})
      t.equal(ring.verify(token, 'at+jwt') !== undefined, other === kid)
    }
  }
})

t.test('the header of a token is found by its text, and read when it is spelled otherwise', async (t) => {
  for (const header of [undefined, { app: 'x', deep: { a: [1] } }]) {
    const ring = await ringOf({ keys: [made.EdDSA.option], secret: SECRET }, header)
    const token = ring.sign('at+jwt', {}, undefined)
    const verified = ring.verify(token, 'at+jwt')
    t.equal(ring.verify(ring.sign('at+jwt', { a: 1 }, undefined), 'at+jwt')?.header, verified?.header, 'one object for all that have the same')
    t.same(verified?.header, { alg: 'EdDSA', typ: 'at+jwt', kid: 'EdDSA', ...header })
    t.throws(() => { (verified?.header as { alg: string }).alg = 'none' }, TypeError)
    const { kid, alg, typ } = parse(token).header
    const by = (header: object) => ring.verify(forgeBy('EdDSA', made.EdDSA.signs, header, {}), 'at+jwt')
    const other = by({ kid, typ, alg })
    t.same(other?.header, { alg, typ, kid }, 'members that the configuration adds may be missing')
    t.throws(() => { (other?.header as { alg: string }).alg = 'none' }, TypeError)
    t.ok(by({ typ, alg, kid, ...header, ...(header && { app: 'y' }) }), 'or say something else')
    t.equal(by({ alg, typ, kid, app: 'x' }) !== undefined, header !== undefined)
    for (const extra of [{ x: 1 }, { crit: [] }, { app: 'x', x: 1 }]) t.equal(by({ alg, typ, kid, ...extra }), undefined)
    const broken = segment(Buffer.concat([Buffer.from(JSON.stringify({ alg, typ, kid, app: '?' }).slice(0, -3)), Buffer.from([0xff]), Buffer.from('"}')]))
    t.equal(ring.verify(forgeOver(`${broken}.${segment({})}`, 'EdDSA', made.EdDSA.signs), 'at+jwt'), undefined, 'and never what is not UTF-8')
    t.ok(ring.verify(seal(segment({ typ, alg: 'HS256' }), segment({}), SECRET), 'at+jwt'))
    t.notOk('app' in parse(ring.sign('rt+jwt', {}, undefined)).header, 'refresh tokens have no extra members')
    t.equal(ring.verify(forgeBy('EdDSA', made.EdDSA.signs, { alg, typ: 'rt+jwt', kid, app: 'x' }, {}), 'rt+jwt'), undefined)
  }
})

t.test('what is wrong with a key is refused, and the message never holds it', async (t) => {
  const { ES256, EdDSA, RS256, HS256 } = made
  const pem = (kind: 'rsa' | 'ec' | 'ed25519' | 'rsa-pss', options: object) =>
    (generateKeyPairSync(kind as 'ec', options as never).privateKey as unknown as KeyObject).export({ type: 'pkcs8', format: 'pem' })
  const encrypted = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' })
  const rsa = RS256.publicKey as KeyObject
  const der = rsa.export({ type: 'spki', format: 'der' })
  const base = { kid: 'a', algorithm: 'HS256', secret: SECRET }
  const wrong: [unknown, string][] = [
    [undefined, 'keys[0] is not an object'],
    ['x', 'keys[0] is not an object'],
    [{ ...base, alg: 'HS256' }, 'keys[0].alg does not exist'],
    ...[undefined, '', 'a b', 'x'.repeat(65), 'é', '../a', 4, ['a'], "a'b", 'a\n'].map((kid): [unknown, string] => [{ ...base, kid }, 'keys[0].kid']),
    ...[undefined, 'none', 'hs256', 'HS1', 'RS384', 'ES512', 'toString', '__proto__', ['HS256'], 4].map((algorithm): [unknown, string] => [{ ...base, algorithm }, 'keys[0].algorithm']),
    ...['sign', 'sig', null, true].map((use): [unknown, string] => [{ ...base, use }, 'keys[0].use']),
    [{ ...base, secret: undefined }, 'keys[0].secret is missing'],
    [{ ...base, secret: SECRET.slice(1) }, 'keys[0].secret is shorter than 32 bytes'],
    [{ ...base, algorithm: 'HS384', secret: 'x'.repeat(47) }, 'keys[0].secret is shorter than 48 bytes'],
    [{ ...base, algorithm: 'HS512', secret: Buffer.alloc(63) }, 'keys[0].secret is shorter than 64 bytes'],
    [{ ...base, secret: 'your-256-bit-secret-your-256-bit-secret' }, 'keys[0].secret is known'],
    ...[rsa.export({ type: 'spki', format: 'pem' }), JSON.stringify(rsa.export({ format: 'jwk' })), JSON.stringify([rsa.export({ format: 'jwk' })]), der, der.toString('base64')]
      .map((secret): [unknown, string] => [{ ...base, secret }, 'keys[0].secret is a PEM, DER or JWK key']),
    [{ ...base, publicKey: ES256.publicKey }, 'keys[0] has a key of another kind'],
    [{ ...ES256.option, secret: SECRET }, 'keys[0] has a key of another kind'],
    [{ kid: 'a', algorithm: 'RS256', secret: SECRET }, 'keys[0] has a key of another kind'],
    [{ kid: 'a', algorithm: 'ES256' }, 'keys[0] has neither'],
    [{ kid: 'a', algorithm: 'ES256', privateKey: undefined }, 'keys[0] has neither'],
    ...['', 'x', null, 4, {}, [], Buffer.alloc(0), ES256.publicKey, ES256.publicKey?.export({ type: 'spki', format: 'pem' }), HS256.signs, encrypted, { kty: 'oct', k: 'x' }]
      .map((privateKey): [unknown, string] => [{ kid: 'a', algorithm: 'ES256', privateKey }, 'keys[0].privateKey is not a private key that can be read']),
    ...['', 'x', null, {}, ES256.signs, (ES256.option as { privateKey: string }).privateKey, ES256.signs.export({ format: 'jwk' })]
      .map((publicKey): [unknown, string] => [{ kid: 'a', algorithm: 'ES256', publicKey }, 'keys[0].publicKey is not a public key that can be read']),
    [{ kid: 'a', algorithm: 'RS256', privateKey: ES256.signs }, 'keys[0].privateKey is not an RSA key'],
    [{ kid: 'a', algorithm: 'PS256', privateKey: pem('rsa-pss', { modulusLength: 2048 }) }, 'keys[0].privateKey is not an RSA key'],
    [{ kid: 'a', algorithm: 'RS256', privateKey: pem('rsa', { modulusLength: 1024 }) }, 'keys[0].privateKey is an RSA key of less than 2048 bits'],
    [{ kid: 'a', algorithm: 'PS256', privateKey: pem('rsa', { modulusLength: 2048, publicExponent: 3 }) }, 'keys[0].privateKey is an RSA key with a public exponent'],
    ...['P-384', 'secp256k1'].map((namedCurve): [unknown, string] => [{ kid: 'a', algorithm: 'ES256', privateKey: pem('ec', { namedCurve }) }, 'keys[0].privateKey is not a key of the curve P-256']),
    [{ kid: 'a', algorithm: 'ES256', privateKey: EdDSA.signs }, 'keys[0].privateKey is not a key of the curve P-256'],
    [{ kid: 'a', algorithm: 'EdDSA', privateKey: generateKeyPairSync('ed448').privateKey }, 'keys[0].privateKey is not an Ed25519 key'],
    [{ kid: 'a', algorithm: 'EdDSA', privateKey: generateKeyPairSync('x25519').privateKey }, 'keys[0].privateKey is not an Ed25519 key'],
    [{ kid: 'a', algorithm: 'RS256', privateKey: { ...RS256.signs.export({ format: 'jwk' }), alg: 'PS256' } }, 'keys[0].privateKey is a JWK for another algorithm'],
    [{ ...RS256.option, publicKey: made.PS256.publicKey }, 'keys[0].publicKey does not belong'],
    [publicOption(ES256), 'keys[0] is to sign, and has no privateKey'],
    [{ ...base, use: 'verify' }, 'keys holds no key that signs']
  ]
  for (const [key, problem] of wrong) {
    const message = refusal(key)
    t.equal(message.slice(0, 21 + problem.length), `fastify-jwt-session: ${problem}`, message)
    t.match(message, /^[^]+\. .+\.$/)
    t.notMatch(message, /PRIVATE|PUBLIC KEY-|k7QmT2vX9/)
  }
  t.match(refusal(base, ES256.option, { ...base, secret: SECRET.toLowerCase() }), 'keys[2].kid is the kid of another key')
  t.match(refusal(), 'keys is not a list')
  t.throws(() => readKeys({ keys: base }, true), INVALID)
  t.throws(() => readKeys({}, true), { ...INVALID, message: /secret is missing/ })
  t.throws(() => readKeys({ keys: [base], secret: 'x' }, true), { ...INVALID, message: /secret is shorter/ })
})

t.test('which key signs: the first that is not for verifying only, or else the secret', async (t) => {
  const [one, two] = [makeKey('EdDSA', 'one'), makeKey('EdDSA', 'two')]
  const later = (key: TestKey): Key => ({ ...key.option, use: 'verify' })
  const uses = async (options: Parameters<typeof ringOf>[0]) => (await ringOf(options)).live.list().map(({ kid, use }) => `${kid} ${use}`)
  t.same(await uses({ secret: SECRET }), ['null sign'])
  t.same(await uses({ keys: [one.option, two.option], secret: undefined }), ['one sign', 'two verify'])
  t.same(await uses({ keys: [later(one), two.option] }), ['one verify', 'two sign'])
  t.same(await uses({ keys: [one.option, publicOption(two)] }), ['one sign', 'two verify'])
  t.same(await uses({ keys: [later(one)], secret: SECRET }), ['one verify', 'null sign'])
  t.same(await uses({ keys: [one.option], secret: [SECRET, SECRET.toLowerCase()] }), ['one sign', 'null verify', 'null verify'])
})

t.test('where no key signs, nothing is signed', async (t) => {
  const ring = createKeyRing({ ...readKeys({ keys: [publicOption(made.EdDSA)] }, false), header: readHeader(undefined) })
  t.throws(() => ring.sign('at+jwt', {}, undefined), { ...INVALID, message: /holds no key that signs/ })
  await ring.live.add(made.ES256.option)
  t.throws(() => ring.sign('at+jwt', {}, undefined), INVALID, 'a key that comes verifies')
  ring.live.promote('ES256')
  t.ok(ring.sign('at+jwt', {}, undefined))
})

t.test('keys come, sign and go while the application runs', async (t) => {
  const [one, two, three] = [makeKey('ES256', 'one'), makeKey('EdDSA', 'two'), makeKey('RS256', 'three')]
  const ring = await ringOf({ keys: [one.option], secret: [SECRET, SECRET.toLowerCase()] })
  const { live } = ring
  let retired = 0
  ring.onRetire(() => { retired++ })
  t.ok(Object.isFrozen(live))

  await live.add(two.option)
  t.same(live.list().at(-1), { kid: 'two', algorithm: 'EdDSA', use: 'verify' })
  const before = ring.sign('at+jwt', {}, undefined)
  t.equal(parse(before).header.kid, 'one')
  t.throws(() => live.retire('one'), INVALID, 'the key that signs')

  live.promote('two')
  const after = ring.sign('at+jwt', {}, undefined)
  t.equal(parse(after).header.kid, 'two')
  t.ok(ring.verify(before, 'at+jwt') && ring.verify(after, 'at+jwt'))
  t.equal(retired, 0, 'nothing that was right is wrong')

  live.retire('one')
  t.equal(retired, 1)
  t.equal(ring.verify(before, 'at+jwt'), undefined)
  t.ok(ring.verify(after, 'at+jwt'))

  const old = seal(segment({ alg: 'HS256', typ: 'at+jwt' }), segment({}), SECRET.toLowerCase())
  t.ok(ring.verify(old, 'at+jwt'))
  live.promote(null)
  t.same(parse(ring.sign('at+jwt', {}, undefined)).header, { alg: 'HS256', typ: 'at+jwt' }, 'back to the secret')
  t.throws(() => live.retire(null), INVALID)
  live.promote('two')
  live.retire(null)
  t.equal(ring.verify(old, 'at+jwt'), undefined)
  t.same(live.list(), [{ kid: 'two', algorithm: 'EdDSA', use: 'sign' }])

  await live.add(publicOption(three))
  t.throws(() => live.promote('three'), { ...INVALID, message: /cannot sign/ })
  for (const kid of ['one', 'nobody', '__proto__', null, undefined as never]) {
    t.throws(() => live.promote(kid), { ...INVALID, message: /names no key/ })
    t.throws(() => live.retire(kid), { ...INVALID, message: /names no key/ })
  }
  await t.rejects(live.add({ ...three.option, kid: 'two' }), { ...INVALID, message: /kid of a key that is there/ })
  await t.rejects(live.add({ ...three.option, kid: '' }), INVALID)
  const [first, second] = await Promise.allSettled([live.add(one.option), live.add({ ...three.option, kid: 'one' })])
  t.same([first.status, second.status], ['fulfilled', 'rejected'], 'of two at once one comes in')
  t.equal(live.list().length, 3)
})

t.test('header: only what says nothing of how to read the token', async (t) => {
  for (const name of ['alg', 'typ', 'kid', 'crit', 'jwk', 'jku', 'x5u', 'x5c', 'x5t', 'x5t#S256', 'b64', 'zip', 'cty', 'enc']) {
    t.throws(() => readHeader({ [name]: 'x' }), { ...INVALID, message: new RegExp(name) })
    t.equal(readHeader(() => ({})).allows(name), false)
  }
  t.throws(() => readHeader(JSON.parse('{"__proto__":1}')), INVALID)
  for (const value of ['x', [], 4, null, new Date(0)]) if (value !== null) t.throws(() => readHeader(value as never), INVALID)
  t.equal(readHeader({ a: 1 }).allows('b'), false)
  t.equal(readHeader({ a: 1 }).allows('toString'), false)
  t.equal(readHeader(() => ({})).allows('anything'), true)
})

t.test('of a JSON Web Key Set only that is used which says that it verifies', async (t) => {
  const jwkOf = (key: TestKey, more: object = {}) => ({ ...key.publicKey?.export({ format: 'jwk' }), kid: key.option.kid, alg: key.option.algorithm, use: 'sig', ...more })
  const good = jwkOf(made.ES256)
  t.match(keysOfSet({ keys: [good] }), [{ kid: 'ES256', algorithm: 'ES256', canSign: false }])
  t.equal(keysOfSet({ keys: [good, { ...jwkOf(made.RS256), key_ops: ['verify'], use: undefined }] }).length, 2)
  const useless: unknown[] = [
    ...['enc', '', null, 'SIG'].map((use) => ({ ...good, use })),
    ...[[], ['sign'], ['encrypt'], 'verify'].map((operations) => ({ ...good, key_ops: operations })),
    ...[undefined, null, '', 'none', 'HS256', 'RS256', 'ES384', 'EdDSA', ['ES256']].map((alg) => ({ ...good, alg })),
    ...[undefined, null, '', 4, 'a b'].map((kid) => ({ ...good, kid })),
    { ...good, crv: 'P-384' }, { ...good, kty: 'RSA' }, { ...good, kty: 'oct', k: 'AAAA' }, { ...good, x: undefined },
    { ...good, d: made.ES256.signs.export({ format: 'jwk' }).d },
    { kty: 'oct', k: Buffer.from(SECRET).toString('base64url'), kid: 'hs', alg: 'HS256', use: 'sig' },
    {}, [], 'x', 4
  ]
  for (const jwk of useless) {
    t.throws(() => keysOfSet({ keys: [jwk] }), { ...INVALID, message: /no key that can be used/ }, JSON.stringify(jwk))
    t.equal(keysOfSet({ keys: [jwk, jwkOf(made.EdDSA)] }).length, 1, 'it is passed over')
  }
  for (const set of [undefined, null, {}, [], 'x', { keys: {} }, { keys: null }]) t.throws(() => keysOfSet(set), { ...INVALID, message: /not a JSON Web Key Set/ })
  t.throws(() => keysOfSet({ keys: [good, jwkOf(makeKey('ES256', 'ES256'))] }), { ...INVALID, message: /two keys of one kid/ })
  t.throws(() => keysOfSet({ keys: [null] }), INVALID)
})

t.test('a secret of little variety is warned of, wherever it stands', async (t) => {
  t.same(warningsOf(readKeys({ keys: [{ kid: 'a', algorithm: 'HS256', secret: 'x'.repeat(32) }] }, true).keys).length, 1)
  t.same(warningsOf(readKeys({ keys: [made.EdDSA.option, made.HS512.option] }, true).keys), [])
})

import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { readOptions } from '../../lib/options'
import { memoryStore } from '../../lib/stores/memory'
import { readDuration } from '../../lib/option-values'
import { isGuessable } from '../../lib/secrets'
import type { JwtSessionOptions } from '../../types'

const valid: JwtSessionOptions = {
  secret: 'k7QmT2vX9dLr4WzB8nHc3YpJ6sFg1AeU',
  userLookup: { findByUsername: () => null, findById: () => null }
}

function refusal (options: unknown): string {
  try {
    readOptions(options as JwtSessionOptions)
  } catch (error) {
    const { code, message } = error as { code: string, message: string }
    return code === 'FST_JWT_SESSION_OPTION_INVALID' ? message : `${code}: ${message}`
  }
  return 'accepted'
}

t.test('the defaults', async (t) => {
  const settings = readOptions(valid)
  t.match(settings, {
    tokens: { issuer: 'fastify-jwt-session', audience: ['fastify-jwt-session'], clockTolerance: 0, accessLifetime: 900 },
    sessions: { idleTimeout: 604_800, absoluteTimeout: 2_592_000, maxPerSubject: Infinity, intervals: { reuse: 0, recovery: 0 } },
    storeTimeout: 1,
    usernameField: 'username',
    routes: { prefix: '', login: { url: '/login' }, refresh: { url: '/refresh' }, logout: { url: '/logout' } },
    warnings: []
  })
  t.same(readOptions({ ...valid, session: { absoluteTimeout: '1d' } }).sessions.idleTimeout, 86_400, 'an idle timeout never outlasts the session')
})

t.test('what is wrong is refused, and the message names the option', async (t) => {
  const wrong: Record<string, unknown[]> = {
    options: [undefined, null, [], 'x'],
    secret: [
      undefined, null, '', 'changeme', 'x'.repeat(31), 'é'.repeat(15), Buffer.alloc(31), 42, {}, [], ['short'], [valid.secret, undefined],
      'A-String-Secret-At-Least-256-Bits-Long', ' your-super-secret-jwt-token-with-at-least-32-characters-long\n',
      `-----BEGIN PUBLIC KEY-----\n${'A'.repeat(60)}`, Buffer.from(`\ufeff-----BEGIN RSA PUBLIC KEY-----${'A'.repeat(60)}`),
      JSON.stringify({ kty: 'RSA', n: 'A'.repeat(40), e: 'AQAB' }),
      ...(['spki', 'pkcs1'] as const).map((type) => generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'der', type }))
    ],
    userLookup: [undefined, null, {}, { findByUsername () {} }, () => null],
    claims: [{}, 'roles', null],
    claimsSchema: ['x', { type: 'array' }, 4],
    presentUser: ['x'],
    issuer: ['', ' ', 4, ['x']],
    audience: ['', [], [''], 4, ['a', 4]],
    accessToken: ['15m', [], { expiresin: 900 }],
    clockTolerance: [-1, '6m', 301, NaN],
    session: [null, 'x', { idle: 4 }],
    rotation: ['lax', 'toString', 4],
    revocationStore: [{}, { read () {}, write () {} }],
    storeTimeout: [0, '1ms', '2m', '1'],
    passwords: [{}, { hash () {} }],
    locations: [[], ['cookies'], ['header', 'header'], 'header', ['query'], ['header', 'body']],
    authorization: ['Bearer', { header: '' }, { header: 'a b' }, { schemes: [] }, { schemes: 'Bearer' }, { schemes: ['a b'] }, { name: 'x' }],
    deliver: ['header', true, 'cookie', () => 'cookie'],
    loadUser: ['eager', 1],
    usernameField: ['', 'password', '__proto__', 'constructor', 'a b', 4],
    routes: ['x', { signin: '/x' }, { prefix: 'auth' }, { login: 'login' }, { login: { url: '/x' } }, { logout: '/a/:id' }, { refresh: '/a b' }],
    typo: [1],
    prefix: ['/auth']
  }
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      const message = name === 'options' ? refusal(value) : refusal({ ...valid, [name]: value })
      t.match(message, new RegExp(`^fastify-jwt-session: (options\\.)?${name}.* .+\\. .+\\.$`), `${name}: ${String(value)}`)
      if (name === 'secret' && typeof value === 'string' && value !== '') t.notMatch(message, value, 'and never the secret')
    }
  }
  for (const expiresIn of [0, -1, '0s', '25h', NaN, Infinity, '900', '1.5h', 'soon', '', {}]) {
    t.match(refusal({ ...valid, accessToken: { expiresIn } }), 'accessToken.expiresIn', String(expiresIn))
  }
  t.match(refusal({ ...valid, session: { idleTimeout: '40d' } }), 'session.idleTimeout')
  t.match(refusal({ ...valid, session: { absoluteTimeout: '2y' } }), 'session.absoluteTimeout')
  for (const maxPerSubject of [0, -1, 1.5, '2', NaN]) t.match(refusal({ ...valid, session: { maxPerSubject } }), 'session.maxPerSubject')
})

t.test('what is right is accepted', async (t) => {
  const right: Partial<JwtSessionOptions>[] = [
    { secret: Buffer.alloc(32, 'k7QmT2vX9dLr4WzB') },
    { secret: [valid.secret as string, 'another-good-secret-of-32-bytes-x'] },
    { accessToken: { expiresIn: 60 } },
    { accessToken: { expiresIn: '1d' } },
    { session: { idleTimeout: '2s', maxPerSubject: 1 } },
    { rotation: 'tolerant', clockTolerance: '5m', storeTimeout: '10ms' },
    { audience: ['a', 'b'] },
    { routes: { prefix: '/auth', login: false, refresh: '/renew', logout: { path: '/bye', config: {} } } }
  ]
  for (const options of right) t.equal(refusal({ ...valid, ...options }), 'accepted', JSON.stringify(options))
})

t.test('how revocations of other nodes are noticed', async (t) => {
  const quiet = memoryStore()
  t.equal(readOptions({ ...valid, revocationStore: quiet }).watch, undefined)
  t.equal(readOptions({ ...valid, revocationStore: quiet, session: { maxStaleness: '5s' } }).live.maxAge, 5)
  const loud = { ...quiet, name: 'loud', watch (): never { throw new Error(this.name) } }
  const { watch, live } = readOptions({ ...valid, revocationStore: loud })
  t.throws(() => watch?.(null as never), { message: 'loud' }, 'the store is asked as itself')
  t.equal(live.maxAge, 60)
  t.match(refusal({ ...valid, revocationStore: loud, session: { maxStaleness: '5s' } }), /session.maxStaleness has no effect .* Leave it out: this store tells/)
  for (const maxStaleness of [0, '6m', 'x']) t.match(refusal({ ...valid, session: { maxStaleness } }), 'session.maxStaleness')
})

t.test('a secret is copied, so that wiping it afterwards changes nothing', async (t) => {
  const secret = Buffer.from(valid.secret as string)
  const { keys } = readOptions({ ...valid, secret })
  secret.fill(0)
  t.equal(String(keys.signing?.material), valid.secret)
})

t.test('a secret of little variety is warned of', async (t) => {
  t.equal(readOptions({ ...valid, secret: 'x'.repeat(40) }).warnings.length, 1)
  t.equal(isGuessable('abcabcabcabcabcabcabcabcabcabcabcabc'), true)
  t.equal(isGuessable(Buffer.from('00112233445566778899aabbccddeeff', 'hex')), false)
})

t.test('durations', async (t) => {
  for (const [text, seconds] of [['500ms', 0.5], ['30s', 30], ['15m', 900], ['12h', 43_200], ['7d', 604_800], ['2w', 1_209_600], ['1y', 31_536_000]] as const) {
    t.equal(readDuration('x', text, 0, '1y'), seconds)
  }
  for (const bad of ['1', '', ' 1s', '1S', '-1s', '1s ', '1 s', '1min']) t.throws(() => readDuration('x', bad, 0, '1y'), { code: 'FST_JWT_SESSION_OPTION_INVALID' }, bad)
})

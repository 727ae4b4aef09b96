import { Type } from '@sinclair/typebox'
import t from 'tap'
import Fastify from 'fastify'
import jwtSession, { memoryStore, scryptPasswords, type RevocationStore } from '../../lib'
import { buildApp, plainPasswords, SECRET, type TestUser } from '../support/app'

const UNAVAILABLE = { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE', statusCode: 503, headers: { 'retry-after': '1' } }

t.test('app.jwtSession does what the routes do', async (t) => {
  const { app, users, client, events } = await buildApp(t)
  const { jwtSession } = app
  const alice = users.get('alice') as TestUser
  const tokens = await jwtSession.login(alice)
  t.equal((await client.get('/me', tokens.access_token)).json().fresh, true)

  const auth = await jwtSession.verify(tokens.access_token)
  t.match(auth, { subject: 'user-alice', source: null, claims: { roles: ['admin', 'editor'] } })
  t.ok(Object.isFrozen(auth))
  t.match(jwtSession.decode(tokens.refresh_token), { header: { typ: 'rt+jwt' }, claims: { sid: auth.sessionId } })
  t.equal(jwtSession.decode('nonsense'), null)

  const renewed = await jwtSession.refresh(tokens.refresh_token)
  t.equal((await jwtSession.verify(renewed.access_token)).fresh, false)
  await t.rejects(jwtSession.refresh('nonsense'), { code: 'FST_JWT_SESSION_REFRESH_TOKEN_INVALID' })
  await t.rejects(jwtSession.verify(renewed.refresh_token), { code: 'FST_JWT_SESSION_TOKEN_INVALID' })

  const { id } = (await jwtSession.list('user-alice'))[0] as { id: string }
  t.equal(id, auth.sessionId)
  t.equal(await jwtSession.revoke({ id, subject: 'user-bob' }), false, 'somebody else cannot end it')
  t.equal(await jwtSession.revoke({ id, subject: 'user-alice' }), true)
  t.equal(await jwtSession.revoke({ id, subject: 'user-alice' }), false)
  await t.rejects(jwtSession.verify(renewed.access_token), { code: 'FST_JWT_SESSION_SESSION_REVOKED' })
  t.match(events.at(-1), { name: 'session.revoked', id, reason: 'called' })

  const [one, two] = [await jwtSession.login(alice), await jwtSession.login(alice)]
  const kept = (await jwtSession.verify(two.access_token)).sessionId
  t.equal((await jwtSession.revokeAll('user-alice', { except: kept })).length, 1)
  await t.rejects(jwtSession.verify(one.access_token), { code: 'FST_JWT_SESSION_SESSION_REVOKED' })
  t.equal((await jwtSession.revokeAll('user-alice')).length, 1)
  t.same(await jwtSession.list('user-alice'), [])
})

t.test('a session remembers from where it was opened', async (t) => {
  const { app, users } = await buildApp(t)
  await app.inject({ method: 'POST', url: '/login', payload: { username: 'alice', password: 'wonderland' }, headers: { 'user-agent': 'u'.repeat(300) } })
  t.match(await app.jwtSession.list('user-alice'), [{ subject: 'user-alice', ip: '127.0.0.1', userAgent: 'u'.repeat(256) }])
  await app.jwtSession.login(users.get('bob') as TestUser)
  const [bobs] = await app.jwtSession.list('user-bob')
  t.notOk(bobs && ('ip' in bobs || 'userAgent' in bobs))
})

t.test('login refuses who is disabled, gone, or changed while the password was being checked', async (t) => {
  const { app, users, client, events } = await buildApp(t)
  const alice = users.get('alice') as TestUser
  await t.rejects(app.jwtSession.login({ ...alice, disabled: true }), { code: 'FST_JWT_SESSION_INVALID_CREDENTIALS' })
  await t.rejects(app.jwtSession.login({ ...alice, id: 'nobody' }), { code: 'FST_JWT_SESSION_INVALID_CREDENTIALS' })
  await t.rejects(app.jwtSession.login({ ...alice, passwordHash: 'plain:old' }), { code: 'FST_JWT_SESSION_INVALID_CREDENTIALS' })
  t.same(await app.jwtSession.list('user-alice'), [], 'the session that was opened meanwhile has ended')
  t.ok(events.some(({ name, reason }) => name === 'session.revoked' && reason === 'user_gone'))
  alice.disabled = true
  t.equal((await client.post('/login', { username: 'alice', password: 'wonderland' })).code, 'INVALID_CREDENTIALS')
  for (const id of [4711, '', undefined, 'x'.repeat(257)]) {
    await t.rejects(app.jwtSession.login({ ...alice, disabled: false, id: id as string }), { code: 'FST_JWT_SESSION_OPTION_INVALID' })
  }
})

t.test('what is no text is no token, though it came out of JSON', async (t) => {
  const { app, users } = await buildApp(t)
  const tokens = await app.jwtSession.login(users.get('alice') as TestUser)
  const values = [undefined, null, 1, true, {}, [], [tokens.access_token], { toString: 1, valueOf: 1 }, { length: 100 }, Object.create(null), Symbol('token'), Object(tokens.access_token)]
  for (const value of values as never[]) {
    const name = typeof value
    await t.rejects(app.jwtSession.verify(value), { code: 'FST_JWT_SESSION_TOKEN_INVALID' }, name)
    await t.rejects(app.jwtSession.refresh(value), { code: 'FST_JWT_SESSION_REFRESH_TOKEN_INVALID' }, name)
    await t.rejects(app.jwtSession.consumeOneTimeToken(value, { purpose: 'password-reset' }), { code: 'FST_JWT_SESSION_TOKEN_INVALID' }, name)
    t.equal(app.jwtSession.decode(value), null, name)
  }
  t.match(await app.jwtSession.verify(tokens.access_token), { subject: 'user-alice' })
})

t.test('passwords: hash, verify, refuse', async (t) => {
  const { app } = await buildApp(t, { passwords: scryptPasswords({ cost: 14, parallelization: 1 }) })
  const hash = await app.jwtSession.hashPassword('s3cret')
  t.equal(await app.jwtSession.verifyPassword('s3cret', hash), true)
  t.equal(await app.jwtSession.verifyPassword('S3cret', hash), false)
  t.equal(await app.jwtSession.verifyPassword('s3cret', 'malformed'), false)
  for (const password of ['', 'x'.repeat(1025), 'a\0b', 4 as never]) {
    await t.rejects(app.jwtSession.hashPassword(password), { code: 'FST_JWT_SESSION_REQUEST_INVALID', cause: { name: 'RangeError' } })
  }
  const broken = await buildApp(t, { passwords: { ...plainPasswords, hash: (password) => { if (password === 'x') throw new Error('broken'); return password } } })
  await t.rejects(broken.app.jwtSession.hashPassword('x'), { message: 'broken' })
})

t.test('D1, D2: unknown, disabled, wrong: one answer, and one verification each', async (t) => {
  const verified: string[] = []
  const { client, users } = await buildApp(t, {
    passwords: { hash: plainPasswords.hash, verify: (password, hash) => { verified.push(hash); return plainPasswords.verify(password, hash) } }
  })
  ;(users.get('bob') as TestUser).disabled = true
  users.set('carol', { id: 'user-carol', passwordHash: undefined as never, roles: [] })
  const answers = []
  for (const [username, password] of [['nobody', 'wonderland'], ['alice', 'wrong'], ['bob', 'builder'], ['carol', 'undefined'], ['__proto__', 'x'], ['constructor', 'x']]) {
    const { statusCode, body, headers } = await client.post('/login', { username, password })
    answers.push(JSON.stringify({ statusCode, body, headers: { ...headers, date: '' } }))
  }
  t.equal(new Set(answers).size, 1, String(answers[0]))
  t.equal(verified.length, 6)
  t.match(String(verified[0]), /^plain:.{32}$/, 'an unknown user is checked against the decoy')
  t.equal(new Set([verified[0], verified[4], verified[5]]).size, 1)
})

t.test('claims that must not be in a token are refused at issue', async (t) => {
  let answer: unknown
  const { app, users } = await buildApp(t, { claims: async () => answer as never })
  const alice = users.get('alice') as TestUser
  const bad: unknown[] = [
    { sub: 'root' }, { exp: 4 }, { gen: 1 }, { token_use: 'refresh' }, { nbf: 1 }, JSON.parse('{"__proto__": {"admin": true}}'),
    { password: 'x' }, { passwordHash: 'x' }, { password_hash: 'x' }, { user: { profile: { 'Client-Secret': 'x' } } }, { users: [{ pwd: 1 }] },
    { me: alice }, { note: alice.passwordHash }, { note: '$2b$10$abcdefghijklmnopqrstuv' }, { note: '$argon2id$v=19$m=65536' },
    null, 'x', [], { big: 'x'.repeat(9000) }
  ]
  for (answer of bad) {
    await t.rejects(app.jwtSession.login(alice), { code: 'FST_JWT_SESSION_OPTION_INVALID', message: /^fastify-jwt-session: claims / }, JSON.stringify(answer))
  }
  t.same(await app.jwtSession.list('user-alice'), [], 'and no session was opened')
  for (answer of [{}, { secretary: 'x', hash: '#1', cost: '$5' }, { gone: undefined }, { toJSON: 1, then: 2, constructor: 3 }]) {
    t.ok((await app.jwtSession.login(alice)).access_token, JSON.stringify(answer))
  }
})

t.test('what the claims hook returns is copied, and its context is told', async (t) => {
  const shared = { roles: ['admin'] }
  const contexts: unknown[] = []
  const { app, client } = await buildApp(t, { claims: (_user, { reason, sessionId, request }) => { contexts.push([reason, typeof sessionId, request?.url]); return shared } })
  const tokens = await client.login()
  t.notOk(Object.isFrozen(shared) || Object.isFrozen(shared.roles))
  await client.refresh(tokens.refresh_token)
  await app.jwtSession.login({ id: 'user-alice', passwordHash: 'plain:wonderland' })
  t.same(contexts, [['login', 'string', '/login'], ['refresh', 'string', '/refresh'], ['login', 'string', undefined]])
})

t.test('claimsSchema is checked whenever a token is issued', async (t) => {
  let answer: unknown = { level: 3 }
  const { client } = await buildApp(t, { claimsSchema: Type.Object({ level: Type.Integer() }, { additionalProperties: false }), claims: () => answer as { level: number } })
  const tokens = await client.login()
  t.equal((await client.get('/me', tokens.access_token)).json().claims.level, 3)
  for (answer of [{ level: '3' }, {}, { level: 3, more: 1 }]) {
    t.equal((await client.refresh(tokens.refresh_token)).code, 'OPTION_INVALID')
  }
  answer = { level: 4 }
  t.equal((await client.refresh(tokens.refresh_token)).statusCode, 200, 'a claims hook that failed burned no token')
})

t.test('a store that fails lets nobody in, and loses nothing', async (t) => {
  const inner = memoryStore()
  let failing: (keyof RevocationStore)[] = []
  const fail = (name: keyof RevocationStore) => { if (failing.includes(name)) throw new Error('down') }
  const { app, client } = await buildApp(t, {
    revocationStore: {
      read: async (refs) => { fail('read'); return inner.read(refs) },
      write: async (record, expected) => { fail('write'); return inner.write(record, expected) },
      list: async (subject) => { fail('list'); return inner.list(subject) }
    },
    session: { maxPerSubject: 5 }
  })
  const tokens = await client.login()
  const calls = {
    guard: () => client.get('/me', tokens.access_token),
    optional: () => client.get('/maybe', tokens.access_token),
    refresh: () => client.refresh(tokens.refresh_token),
    logout: () => client.post('/logout', undefined, tokens.access_token),
    everywhere: () => client.post('/logout', { everywhere: true }, tokens.access_token),
    login: () => client.post('/login', { username: 'alice', password: 'wonderland' })
  }
  const expected: [typeof failing, (keyof typeof calls)[]][] = [
    [['read'], ['guard', 'optional', 'refresh', 'logout', 'everywhere']],
    [['write'], ['refresh', 'logout', 'everywhere', 'login']],
    [['list'], ['everywhere', 'login']]
  ]
  for (const [broken, names] of expected) {
    failing = broken
    for (const name of names) {
      const answer = await calls[name]()
      t.equal(answer.code, 'STORE_UNAVAILABLE', `${name} without ${String(broken[0])}`)
      t.equal(answer.statusCode, 503)
      t.equal(answer.headers['retry-after'], '1')
      t.notMatch(answer.body, 'down')
    }
  }
  await t.rejects(app.jwtSession.list('user-alice'), UNAVAILABLE)
  failing = []
  t.equal((await client.get('/me', tokens.access_token)).statusCode, 200)
  t.equal((await client.refresh(tokens.refresh_token)).statusCode, 200, 'the refresh token is as good as before')
})

t.test('a store that never answers is a 503 in time', async (t) => {
  const inner = memoryStore()
  let isMute = false
  const { client } = await buildApp(t, {
    storeTimeout: '20ms',
    revocationStore: { ...inner, read: (refs) => isMute ? new Promise<never>(() => {}) : inner.read(refs) }
  })
  const tokens = await client.login()
  isMute = true
  t.equal((await client.get('/me', tokens.access_token)).code, 'STORE_UNAVAILABLE')
  t.equal((await client.refresh(tokens.refresh_token)).code, 'STORE_UNAVAILABLE')
  t.equal((await client.post('/logout', undefined, tokens.access_token)).code, 'STORE_UNAVAILABLE')
})

t.test('a logout everywhere that fails can be tried again', async (t) => {
  const inner = memoryStore()
  let isBroken = true
  const { client } = await buildApp(t, {
    revocationStore: {
      ...inner,
      write: (record, expected) => {
        if (isBroken && record.revoked) throw new Error('down')
        return inner.write(record, expected)
      }
    }
  })
  const [mine, other] = [await client.login(), await client.login()]
  t.equal((await client.post('/logout', { everywhere: true }, mine.access_token)).code, 'STORE_UNAVAILABLE')
  isBroken = false
  t.equal((await client.post('/logout', { everywhere: true }, mine.access_token)).statusCode, 204)
  for (const { access_token: token } of [mine, other]) t.equal((await client.get('/me', token)).code, 'SESSION_REVOKED')
})

t.test('a registration that fails leaves nothing running', async (t) => {
  const closed: string[] = []
  const app = Fastify()
  app.decorate('authenticate', 'taken' as never)
  const store = { ...memoryStore(), watch: () => ({ close: () => { closed.push('watch') } }), close: () => { closed.push('store') } }
  await t.rejects(async () => await app.register(jwtSession, { secret: SECRET, userLookup: { findByUsername: () => null, findById: () => null }, passwords: plainPasswords, revocationStore: store }), { code: 'FST_ERR_DEC_ALREADY_PRESENT' })
  await app.close()
  t.same(closed, ['watch', 'store'])
})

t.test('an outage of the store is told once in the log', async (t) => {
  const lines: string[] = []
  const inner = memoryStore()
  let isDown = false
  const { client } = await buildApp(t, { revocationStore: { ...inner, read: (refs) => { if (isDown) throw new Error('no route'); return inner.read(refs) } } },
    { disableRequestLogging: true, logger: { level: 'warn', stream: { write: (line: string) => { lines.push(line) } } } })
  const { access_token: token } = await client.login()
  for (isDown of [true, true, false, true]) await client.get('/me', token)
  t.equal(lines.filter((line) => line.includes('does not answer')).length, 2)
  t.match(lines[0], 'no route')
})

t.test('a user lookup that fails is a 503, and burns no token', async (t) => {
  let isDown = false
  const alice = { id: '1', passwordHash: 'plain:x', roles: [] }
  const find = () => { if (isDown) throw new Error('users are down'); return alice }
  const { client } = await buildApp(t, { userLookup: { findByUsername: find, findById: async () => find() } })
  const tokens = await client.login('a', 'x')
  isDown = true
  t.equal((await client.post('/login', { username: 'a', password: 'x' })).code, 'STORE_UNAVAILABLE')
  t.equal((await client.refresh(tokens.refresh_token)).code, 'STORE_UNAVAILABLE')
  isDown = false
  t.equal((await client.refresh(tokens.refresh_token)).statusCode, 200)
})

t.test('listeners are guests: what they throw is logged, and stops nothing', async (t) => {
  const lines: string[] = []
  const { app, client } = await buildApp(t, {}, { logger: { level: 'info', stream: { write: (line: string) => { lines.push(line) } } } })
  let heard = 0
  const count = () => { heard++ }
  app.jwtSession.events
    .on('login.succeeded', () => { throw new Error('a guest') })
    .on('login.succeeded', async () => { throw new Error('a late guest') })
    .once('login.succeeded', count)
    .on('login.failed', count)
    .off('login.failed', count)
  await client.login()
  await client.login()
  t.equal((await client.post('/login', { username: 'my-password-by-mistake', password: 'wrong-password' })).statusCode, 401)
  t.equal(heard, 1)
  t.equal(lines.filter((line) => line.includes('a guest')).length, 2)
  t.equal(lines.filter((line) => line.includes('a late guest')).length, 2)
  t.match(lines.join(), 'login.failed')
  t.notMatch(lines.join(), /my-password-by-mistake|wrong-password|wonderland|eyJ/)
})

/** The store in memory, but its answers have to be waited for. */
function slowStore (before: () => void = () => {}): RevocationStore {
  const { read, write, list } = memoryStore()
  return {
    read: async (refs) => { before(); return await read(refs) },
    write: async (record, expected) => await write(record, expected),
    list: async (subject) => await list(subject)
  }
}

t.test('memory() tells how many sessions and tokens are remembered, and whether revocations are heard', async (t) => {
  const { app, client } = await buildApp(t, { revocationStore: slowStore(), session: { maxStaleness: '1m' } })
  t.same(app.jwtSession.memory(), { liveSessions: 0, tokens: 0, isTrusted: true })
  const [first, second] = [await client.login(), await client.login('bob', 'builder')]
  // As often as it takes until both are remembered, whatever chance says.
  for (let call = 0; call < 40; call++) t.equal((await client.get('/me', [first, second][call % 2]?.access_token)).statusCode, 200)
  t.same(app.jwtSession.memory(), { liveSessions: 2, tokens: 2, isTrusted: true })
  t.equal((await client.post('/logout', undefined, first.access_token)).statusCode, 204)
  t.same(app.jwtSession.memory(), { liveSessions: 1, tokens: 2, isTrusted: true })

  const atOnce = await buildApp(t, { tokenMemory: false })
  t.equal((await atOnce.client.get('/me', (await atOnce.client.login()).access_token)).statusCode, 200)
  t.same(atOnce.app.jwtSession.memory(), { liveSessions: 0, tokens: 0, isTrusted: null })
})

t.test('calls of the store are told to whoever listens, and only from then on', async (t) => {
  let isDown = false
  const { app, client } = await buildApp(t, { revocationStore: slowStore(() => { if (isDown) throw new Error('down') }) })
  const { access_token: token } = await client.login()
  const calls: string[] = []
  app.jwtSession.events.on('store.called', ({ operation, outcome, duration }) => { calls.push(`${operation} ${outcome} ${typeof duration}`) })
  await client.get('/me', token)
  await app.jwtSession.list('user-alice')
  isDown = true
  t.equal((await client.get('/me', token)).statusCode, 503)
  isDown = false
  await client.login()
  t.same(calls, ['read answered number', 'list answered number', 'read failed number', 'write answered number'])
})

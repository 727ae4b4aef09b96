import http from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { scryptPasswords, type Passwords, type SessionUser } from '../../lib'
import { boundedQueue } from '../../lib/passwords/queue'
import { buildApp, lookupIn, makeUsers, plainPasswords, type TestApp, type TestUser } from '../support/app'
import { stopClock } from '../support/clock'

const ALICE = { username: 'alice', password: 'wonderland' }

/** Passwords that are looked at, one at a time and one waiting, when the test says so. */
function gatedPasswords () {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => { open = resolve })
  const queue = boundedQueue('gated', { threads: 1, queue: 1 })
  const signals: AbortSignal[] = []
  const passwords: Passwords = {
    hash: plainPasswords.hash,
    async verify (password, passwordHash, { signal } = {}) {
      signals.push(signal as AbortSignal)
      return await queue.run(async () => { await opened; return await plainPasswords.verify(password, passwordHash) }, signal)
    }
  }
  return { passwords, signals, open }
}

async function until (holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

/** Resolves with the next event of a name. */
async function next ({ app }: TestApp, name: 'password.rehashed' | 'rehash.failed'): Promise<unknown> {
  return await new Promise((resolve) => app.jwtSession.events.once(name, resolve))
}

t.test('a full queue is a 503 at once, and does not count as an attempt', async (t) => {
  const passwords = scryptPasswords({ cost: 14, parallelization: 1, threads: 1, queue: 1 })
  const users = makeUsers()
  const passwordHash = await passwords.hash(ALICE.password)
  const names = ['alice', 'bob', 'carol', 'dave', 'eve']
  for (const name of names) users.set(name, { id: name, passwordHash, roles: [] })
  const { client } = await buildApp(t, { passwords, userLookup: lookupIn(users), throttle: { account: { attempts: 1 }, address: { attempts: 5 } } })
  const login = async (username: string) => await client.post('/login', { ...ALICE, username })

  const answers = await Promise.all(names.map(login))
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [200, 200, 503, 503, 503])
  const refused = answers.filter(({ statusCode }) => statusCode === 503)
  for (const { code, headers } of refused) {
    t.equal(code, 'BUSY')
    t.match(headers, { 'retry-after': '1', 'cache-control': 'no-store' })
  }
  for (const [index, { statusCode }] of answers.entries()) if (statusCode === 503) t.equal((await login(names[index] as string)).statusCode, 200)
})

t.test('who hangs up frees the place in the queue, and gets no session', async (t) => {
  const { passwords, signals, open } = gatedPasswords()
  const lines: string[] = []
  const logger = { level: 'error', stream: { write: (line: string) => { lines.push(line) } } }
  const { app, client, events } = await buildApp(t, { passwords, throttle: { account: { attempts: 1 }, address: { attempts: 4 } } }, { logger, forceCloseConnections: true })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const hangUps = [0, 1].map((index) => {
    const request = http.request({ host: '127.0.0.1', port, path: '/login', method: 'POST', headers: { 'content-type': 'application/json' } })
    request.on('error', () => {})
    return async (username: string, password: string) => {
      request.end(JSON.stringify({ username, password }))
      await until(() => signals.length > index)
      return async () => {
        request.destroy()
        await until(() => signals[index]?.aborted === true)
      }
    }
  })
  const working = await hangUps[0]?.('alice', 'wonderland')
  const waiting = await hangUps[1]?.('bob', 'builder')
  t.equal((await client.post('/login', ALICE)).code, 'TOO_MANY_ATTEMPTS', 'an attempt counts from its beginning')
  t.equal((await client.post('/login', { username: 'bob', password: 'builder' })).code, 'TOO_MANY_ATTEMPTS')
  t.equal((await client.post('/login', { username: 'carol', password: 'x' })).code, 'BUSY')

  await waiting?.()
  const bob = client.post('/login', { username: 'bob', password: 'builder' })
  await until(() => signals.length === 4)
  t.equal((await client.post('/login', { username: 'carol', password: 'x' })).code, 'BUSY', 'the place that became free is taken')
  await working?.()
  open()
  t.equal((await bob).statusCode, 200, 'what a client hung up on does not count for its account')
  t.same(await app.jwtSession.list('user-alice'), [])
  t.same(events.map(({ name }) => name).filter((name) => name !== 'login.throttled'), ['login.succeeded'])
  t.equal((await client.post('/login', ALICE)).statusCode, 200)
  for (const username of ['carol', 'dave']) t.equal((await client.post('/login', { username, password: 'x' })).statusCode, 401)
  t.equal((await client.post('/login', { username: 'eve', password: 'x' })).code, 'TOO_MANY_ATTEMPTS', 'but it does for its address')
  t.same(lines.filter((line) => !line.includes('FST_JWT_SESSION_BUSY')), [], 'and is no error in the log')
})

t.test('attempts that could not be judged do not count', async (t) => {
  let isDown = true
  const users = makeUsers()
  const { findById, findByUsername } = lookupIn(users)
  const fail = (): never => { throw new Error('no memory') }
  const { client } = await buildApp(t, {
    throttle: { account: { attempts: 1 }, address: { attempts: 1 } },
    userLookup: { findById, findByUsername: (username, request) => isDown ? fail() : findByUsername(username, request) },
    passwords: { ...plainPasswords, verify: (password, passwordHash) => password === 'broken' ? fail() : plainPasswords.verify(password, passwordHash) }
  })
  for (let round = 0; round < 3; round++) t.equal((await client.post('/login', ALICE)).code, 'STORE_UNAVAILABLE')
  isDown = false
  for (let round = 0; round < 3; round++) t.equal((await client.post('/login', { ...ALICE, password: 'broken' })).code, 'BUSY')
  t.equal((await client.post('/login', { username: 'alice' })).code, 'REQUEST_INVALID')
  t.equal((await client.post('/login', ALICE)).statusCode, 200)
})

t.test('a throttled login is told to listeners, with the client and without a password', async (t) => {
  stopClock(t)
  const { client, events } = await buildApp(t, { throttle: { account: { attempts: 1, window: '30s' }, address: { attempts: 2, window: '1h' } } })
  await client.post('/login', { ...ALICE, password: 'wrong' })
  await client.post('/login', ALICE)
  await client.post('/login', { username: 'bob', password: 'wrong' })
  await client.post('/login', { username: 'carol', password: 'wrong' })
  t.same(events.filter(({ name }) => name === 'login.throttled'), [
    { name: 'login.throttled', username: 'alice', device: { ip: '127.0.0.1', userAgent: 'lightMyRequest' }, scope: 'account', retryAfter: 30 },
    { name: 'login.throttled', username: 'carol', device: { ip: '127.0.0.1', userAgent: 'lightMyRequest' }, scope: 'address', retryAfter: 3600 }
  ])
})

t.test('logins without a password are not throttled, and throttling can be switched off', async (t) => {
  const strict = await buildApp(t, { throttle: { account: { attempts: 1 }, address: { attempts: 1 } } })
  for (let round = 0; round < 5; round++) await strict.app.jwtSession.login(strict.users.get('alice') as SessionUser)
  t.equal((await strict.client.post('/login', ALICE)).statusCode, 200)
  const lax = await buildApp(t, { throttle: false })
  for (let round = 0; round < 250; round++) t.equal((await lax.client.post('/login', { ...ALICE, password: 'wrong' })).code, 'INVALID_CREDENTIALS')
})

/** Knows hashes of today and of yesterday. */
const renewing: Passwords = {
  hash: (password) => `plain:${password}`,
  verify: (password, passwordHash) => passwordHash.replace(/^old:/, 'plain:') === `plain:${password}`,
  needsRehash: (passwordHash) => passwordHash.startsWith('old:')
}

/** An application whose user alice has a hash of yesterday. */
async function withOldHash (t: Parameters<typeof buildApp>[0], more: Parameters<typeof buildApp>[1] = {}, update?: (user: TestUser, passwordHash: string) => void) {
  const users = makeUsers()
  const alice = { ...users.get('alice') as TestUser, passwordHash: 'old:wonderland' }
  users.set('alice', alice)
  const written: string[] = []
  const server = await buildApp(t, {
    passwords: renewing,
    userLookup: {
      ...lookupIn(users),
      async updatePasswordHash (user, passwordHash) {
        update?.(user, passwordHash)
        written.push(passwordHash)
        users.set('alice', { ...user, passwordHash })
      }
    },
    ...more
  })
  return { ...server, users, written }
}

t.test('after a good login a hash of yesterday is made anew, once, and the session lives', async (t) => {
  const server = await withOldHash(t)
  const { client, written } = server
  t.equal((await client.post('/login', { ...ALICE, password: 'wrong' })).code, 'INVALID_CREDENTIALS')
  const renewed = next(server, 'password.rehashed')
  const { access_token: token, refresh_token: refreshToken } = await client.login()
  t.same(await renewed, { subject: 'user-alice' })
  t.same(written, ['plain:wonderland'])
  t.equal((await client.get('/me', token)).statusCode, 200)
  t.equal((await client.refresh(refreshToken)).statusCode, 200)
  await client.login()
  await client.login('bob', 'builder')
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(written.length, 1)
})

t.test('logins at once do not stand in the way of each other when the first one has made the hash anew', async (t) => {
  const server = await withOldHash(t)
  const { client, users } = server
  const checked: string[] = []
  const old = users.get('alice') as TestUser
  // The other login has found the user by name, and finds the hash of this one afterwards.
  const { get } = users
  users.get = (name) => name === 'alice' ? old : get.call(users, name)
  const verify = renewing.verify
  renewing.verify = (password, passwordHash) => { checked.push(passwordHash); return verify(password, passwordHash) }
  t.teardown(() => { renewing.verify = verify })
  users.set('alice', { ...old, passwordHash: 'plain:wonderland' })
  t.equal((await client.post('/login', ALICE)).statusCode, 200)
  t.same(checked, ['old:wonderland', 'plain:wonderland'])
  users.set('alice', { ...old, passwordHash: 'plain:changed' })
  t.equal((await client.post('/login', ALICE)).code, 'INVALID_CREDENTIALS', 'another password is another matter')
  users.set('alice', { ...old, passwordHash: 'plain:wonderland', disabled: true })
  t.equal((await client.post('/login', ALICE)).code, 'INVALID_CREDENTIALS')
  users.delete('alice')
  t.equal((await client.post('/login', ALICE)).code, 'INVALID_CREDENTIALS')
  t.equal((await server.app.jwtSession.list('user-alice')).length, 1)
})

t.test('a hash that cannot be made anew or stored disturbs nobody, and is told without hashes', async (t) => {
  const lines: string[] = []
  const logger = { level: 'warn', stream: { write: (line: string) => { lines.push(line) } } }
  for (const [name, more, reason] of [
    ['storing', {}, 'Error: could not write (…, …)'],
    ['hashing', { passwords: { ...renewing, hash: (password: string) => { if (password === 'wonderland') throw new Error('BUSY'); return password } } }, 'Error: BUSY']
  ] as const) {
    await t.test(name, async (t) => {
      const users = makeUsers()
      users.set('alice', { ...users.get('alice') as TestUser, passwordHash: 'old:wonderland' })
      const server = await buildApp(t, {
        passwords: renewing,
        userLookup: { ...lookupIn(users), updatePasswordHash: (user, passwordHash) => { throw new Error(`could not write (${user.passwordHash}, ${passwordHash})`) } },
        ...more
      }, { logger, disableRequestLogging: true })
      const failed = next(server, 'rehash.failed')
      const { access_token: token } = await server.client.login()
      t.same(await failed, { subject: 'user-alice', reason })
      t.equal((await server.client.get('/me', token)).statusCode, 200)
    })
  }
  t.equal(lines.length, 2)
  t.notMatch(lines.join(), 'wonderland')
})

t.test('a password that was changed while its hash was made anew does not come back', async (t) => {
  let change = (): void => {}
  const { client, users, written } = await withOldHash(t, {
    passwords: { ...renewing, hash: (password) => { if (password === 'wonderland') change(); return `plain:${password}` } }
  })
  change = () => users.set('alice', { ...users.get('alice') as TestUser, passwordHash: 'plain:changed' })
  await client.login()
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.same(written, [])
  t.equal((await client.post('/login', ALICE)).code, 'INVALID_CREDENTIALS')
  t.equal((await client.post('/login', { ...ALICE, password: 'changed' })).statusCode, 200)
})

t.test('an application that closes while passwords are looked at answers them, and lets go of the adapter', async (t) => {
  const scrypt = scryptPasswords({ cost: 14, parallelization: 1, threads: 1 })
  let closed = 0
  const passwords: Passwords = { ...scrypt, close () { closed++ } }
  const users = makeUsers()
  users.set('alice', { id: 'user-alice', passwordHash: await scrypt.hash(ALICE.password), roles: [] })
  const [one, other] = [await buildApp(t, { passwords, userLookup: lookupIn(users) }), await buildApp(t, { passwords, userLookup: lookupIn(users) })]
  const answers = [1, 2, 3].map(async () => await one.client.post('/login', ALICE))
  await one.app.ready()
  await one.app.close()
  t.equal(closed, 1)
  t.same((await Promise.all(answers)).map(({ statusCode }) => statusCode), [200, 200, 200])
  t.equal((await other.client.post('/login', ALICE)).statusCode, 200)
})

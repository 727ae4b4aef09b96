import t, { type Test } from 'tap'
import { buildApp, type TestApp } from '../support/app'
import { stopClock } from '../support/clock'
import { engines, newNamespace, skipReason, type Engine } from '../support/engines'

for (const engine of engines) {
  t.test(engine.name, async (t) => {
    const skip = await skipReason(engine)
    await t.test('flows', { skip }, async (t) => await flows(t, engine))
  })
}

/** What users see, on any engine. */
async function flows (t: Test, engine: Engine): Promise<void> {
  async function build (t: Test, options: Parameters<typeof buildApp>[1] = {}): Promise<TestApp> {
    const { store, close } = await engine.open(newNamespace())
    const built = await buildApp(t, { revocationStore: store, ...options })
    t.teardown(async () => await close(true))
    return built
  }

  t.test('login, guarded route, refresh, logout', async (t) => {
    stopClock(t)
    const { client, events } = await build(t)
    const tokens = await client.login()
    t.match(tokens, { token_type: 'Bearer', expires_in: 900, refresh_expires_in: 604_800 })

    const me = await client.get('/me', tokens.access_token)
    t.match(me.json(), {
      subject: 'user-alice', fresh: true, source: 'header', header: { alg: 'HS256', typ: 'at+jwt' }, claims: { roles: ['admin', 'editor'] }
    })

    const renewed = await client.refresh(tokens.refresh_token)
    t.equal(renewed.statusCode, 200)
    t.not(renewed.json().refresh_token, tokens.refresh_token, 'a refresh rotates the refresh token')
    t.equal((await client.get('/me', renewed.json().access_token)).json().fresh, false, 'a refreshed token is not fresh')
    t.equal((await client.get('/me', tokens.access_token)).statusCode, 200, 'the older access token lasts until it expires')

    t.equal((await client.post('/logout', undefined, renewed.json().access_token)).statusCode, 204)
    for (const token of [tokens.access_token, renewed.json().access_token]) {
      t.equal((await client.get('/me', token)).code, 'SESSION_REVOKED')
    }
    t.equal((await client.refresh(renewed.json().refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    t.same(events.map(({ name }) => name), ['login.succeeded', 'refresh.succeeded', 'session.revoked', 'refresh.refused'])
  })

  t.test('two logins of one user are two sessions', async (t) => {
    const { client } = await build(t)
    const [one, other] = [await client.login(), await client.login()]
    t.not(one.access_token, other.access_token)
    await client.post('/logout', undefined, one.access_token)
    t.equal((await client.get('/me', one.access_token)).statusCode, 401)
    t.equal((await client.get('/me', other.access_token)).statusCode, 200)
  })

  t.test('an access token expires to the second', async (t) => {
    const clock = stopClock(t)
    const { client } = await build(t)
    const { access_token: token, expires_in: expiresIn } = await client.login()
    clock.advance(expiresIn - 1)
    t.equal((await client.get('/me', token)).statusCode, 200)
    clock.advance(1)
    t.equal((await client.get('/me', token)).code, 'TOKEN_EXPIRED')
  })

  t.test('clockTolerance lets an access token live longer', async (t) => {
    const clock = stopClock(t)
    const { client } = await build(t, { clockTolerance: '30s' })
    const { access_token: token } = await client.login()
    clock.advance(929)
    t.equal((await client.get('/me', token)).statusCode, 200)
    clock.advance(1)
    t.equal((await client.get('/me', token)).code, 'TOKEN_EXPIRED')
  })

  t.test('a session that is not refreshed ends by its idle timeout', async (t) => {
    const clock = stopClock(t)
    const { client } = await build(t, { session: { idleTimeout: '1h', absoluteTimeout: '2h' } })
    const tokens = await client.login()
    clock.advance(3599)
    const renewed = (await client.refresh(tokens.refresh_token)).json()
    t.equal(renewed.refresh_expires_in, 3600, 'a rotation moves the idle end')
    clock.advance(3590)
    const last = (await client.refresh(renewed.refresh_token)).json()
    t.equal(last.refresh_expires_in, 11, 'but never beyond the absolute end')
    t.equal(last.expires_in, 11, 'nor does an access token outlive its session')
    clock.advance(12)
    t.equal((await client.refresh(last.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    t.equal((await client.get('/me', last.access_token)).code, 'TOKEN_EXPIRED')
  })

  t.test('idle: an unused refresh token is refused', async (t) => {
    const clock = stopClock(t)
    const { client, events } = await build(t, { session: { idleTimeout: '2s' } })
    const tokens = await client.login()
    clock.advance(3)
    t.equal((await client.refresh(tokens.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    t.match(events.at(-1), { name: 'refresh.refused', reason: 'expired' })
  })

  t.test('claims are made anew at every refresh, and a user who is gone ends the session', async (t) => {
    const { client, users, events } = await build(t)
    let tokens = await client.login()
    const alice = users.get('alice') as { roles: string[], disabled?: boolean }
    alice.roles = ['reader']
    tokens = (await client.refresh(tokens.refresh_token)).json()
    t.same((await client.get('/me', tokens.access_token)).json().claims.roles, ['reader'])
    t.equal((await client.get('/admin', tokens.access_token)).code, 'CLAIMS_INSUFFICIENT')

    alice.disabled = true
    t.equal((await client.refresh(tokens.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    t.match(events.at(-1), { name: 'refresh.refused', reason: 'user_gone' })
    t.equal((await client.get('/me', tokens.access_token)).code, 'SESSION_REVOKED')

    const bobs = await client.login('bob', 'builder')
    users.delete('bob')
    t.equal((await client.refresh(bobs.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    t.equal((await client.get('/me', bobs.access_token)).code, 'SESSION_REVOKED')
  })

  t.test('fresh and maxAge look at how lately credentials were shown', async (t) => {
    const clock = stopClock(t)
    clock.advance(1 - clock.now() % 1)
    const { client } = await build(t)
    const tokens = await client.login()
    t.equal((await client.get('/fresh', tokens.access_token)).statusCode, 200)
    clock.advance(600)
    t.equal((await client.get('/recent', tokens.access_token)).statusCode, 200)
    clock.advance(1)
    const stale = await client.get('/recent', tokens.access_token)
    t.equal(stale.code, 'REAUTHENTICATION_REQUIRED')
    t.equal(stale.headers['www-authenticate'], 'Bearer error="insufficient_user_authentication", max_age=600')
    t.equal((await client.get('/fresh', tokens.access_token)).statusCode, 200, 'fresh is about the token, not about time')

    const renewed = (await client.refresh(tokens.refresh_token)).json()
    const refreshed = await client.get('/fresh', renewed.access_token)
    t.equal(refreshed.code, 'REAUTHENTICATION_REQUIRED')
    t.equal(refreshed.headers['www-authenticate'], 'Bearer error="insufficient_user_authentication", max_age=0')
    t.equal((await client.get('/recent', renewed.access_token)).code, 'REAUTHENTICATION_REQUIRED', 'auth_time survives a refresh')
  })

  t.test('optional tolerates absence only', async (t) => {
    const { app, client } = await build(t)
    const { access_token: token } = await client.login()
    t.equal((await client.get('/maybe')).body, 'null')
    t.equal((await client.get('/maybe')).statusCode, 200)
    t.equal((await client.get('/maybe', token)).json().subject, 'user-alice')
    t.equal((await client.get('/maybe', `${token}x`)).code, 'TOKEN_INVALID')
    for (const authorization of ['Bearer', `Bearer\t${token}`, `Bearer=${token}`, `bearer${token}`]) {
      const answer = await app.inject({ url: '/maybe', headers: { authorization } })
      t.equal(answer.json().code, 'FST_JWT_SESSION_TOKEN_INVALID', authorization.slice(0, 8))
    }
    t.equal((await app.inject({ url: '/maybe', headers: { authorization: 'Basic YTpi' } })).body, 'null', 'another scheme is no token')
    await client.post('/logout', undefined, token)
    t.equal((await client.get('/maybe', token)).code, 'SESSION_REVOKED')
  })

  t.test('maxPerSubject: a login too many ends the oldest session, and only that', async (t) => {
    const clock = stopClock(t)
    const { client, events } = await build(t, { session: { maxPerSubject: 2 } })
    const bobs = await client.login('bob', 'builder')
    const all = []
    for (let count = 0; count < 4; count++) {
      all.push(await client.login())
      clock.advance(0.001)
    }
    const codes = await Promise.all(all.map(async ({ access_token: token }) => (await client.get('/me', token)).statusCode))
    t.same(codes, [401, 401, 200, 200])
    t.equal((await client.get('/me', bobs.access_token)).statusCode, 200)
    t.same(events.filter(({ name }) => name === 'session.revoked').map(({ reason }) => reason), ['limit', 'limit'])
  })

  t.test('everywhere, all but one, and what is left', async (t) => {
    const { app, client } = await build(t)
    const all = [await client.login(), await client.login(), await client.login()]
    const bobs = await client.login('bob', 'builder')
    const status = async ({ access_token: token }: { access_token: string }) => (await client.get('/me', token)).statusCode
    const kept = (await app.jwtSession.verify((all[1] as { access_token: string }).access_token)).sessionId
    t.equal((await app.jwtSession.list('user-alice')).length, 3)
    t.equal((await app.jwtSession.revokeAll('user-alice', { except: kept })).length, 2)
    t.same(await Promise.all(all.map(status)), [401, 200, 401])
    t.same((await app.jwtSession.list('user-alice')).map(({ id }) => id), [kept])
    const another = await client.login()
    t.equal((await client.post('/logout', { everywhere: true }, another.access_token)).statusCode, 204)
    t.same(await Promise.all([...all, another].map(status)), [401, 401, 401, 401])
    t.same(await app.jwtSession.list('user-alice'), [])
    t.equal(await status(bobs), 200)
  })

  t.test('strict: a refresh token used twice ends its session, and no other', async (t) => {
    const { client, events } = await build(t)
    const [first, other] = [await client.login(), await client.login()]
    const second = (await client.refresh(first.refresh_token)).json()
    const third = (await client.refresh(second.refresh_token)).json()
    t.equal((await client.refresh(first.refresh_token)).code, 'REFRESH_TOKEN_INVALID', 'any ancestor counts')
    t.ok(events.some((event) => event.name === 'session.reused' && event.presented === 0 && event.generation === 2))
    t.equal((await client.refresh(third.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    for (const { access_token: token } of [first, second, third]) t.equal((await client.get('/me', token)).code, 'SESSION_REVOKED')
    t.equal((await client.get('/me', other.access_token)).statusCode, 200)
    t.equal((await client.refresh(other.refresh_token)).statusCode, 200)
  })

  t.test('tolerant: a repetition gets the same tokens, a lost answer is recovered, a thief is caught', async (t) => {
    const clock = stopClock(t)
    const { client, events } = await build(t, { rotation: 'tolerant' })

    await t.test('within the reuse interval', async (t) => {
      const tokens = await client.login()
      t.equal((await client.refresh(tokens.refresh_token)).json().refresh_token, tokens.refresh_token, 'a generation lasts ten seconds')
      clock.advance(10)
      const second = (await client.refresh(tokens.refresh_token)).json()
      t.not(second.refresh_token, tokens.refresh_token)
      clock.advance(9)
      t.equal((await client.refresh(tokens.refresh_token)).json().refresh_token, second.refresh_token, 'the same successor')
    })

    await t.test('a repetition of the first generation is not fresh', async (t) => {
      const tokens = await client.login()
      const again = (await client.refresh(tokens.refresh_token)).json()
      t.equal((await client.get('/fresh', again.access_token)).code, 'REAUTHENTICATION_REQUIRED')
    })

    await t.test('within the recovery interval, while nobody has used the successor', async (t) => {
      const tokens = await client.login()
      clock.advance(10)
      const lost = (await client.refresh(tokens.refresh_token)).json()
      clock.advance(3599)
      const recovered = await client.refresh(tokens.refresh_token)
      t.equal(recovered.json().refresh_token, lost.refresh_token)
      t.ok(events.some(({ name }) => name === 'refresh.recovered'))
      t.equal((await client.get('/me', recovered.json().access_token)).statusCode, 200)
      clock.advance(0.5)
      t.equal((await client.refresh(tokens.refresh_token)).code, 'REFRESH_TOKEN_INVALID', 'an access token of it was used')
      t.equal((await client.get('/me', recovered.json().access_token)).code, 'SESSION_REVOKED')
    })

    await t.test('a successor that was shown to refresh counts as used', async (t) => {
      const tokens = await client.login()
      clock.advance(10)
      const second = (await client.refresh(tokens.refresh_token)).json()
      clock.advance(5)
      t.equal((await client.refresh(second.refresh_token)).statusCode, 200)
      clock.advance(6)
      t.equal((await client.refresh(tokens.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    })

    await t.test('after the recovery interval', async (t) => {
      const tokens = await client.login()
      clock.advance(10)
      await client.refresh(tokens.refresh_token)
      clock.advance(3600)
      t.equal((await client.refresh(tokens.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    })
  })

  for (const rotation of ['strict', 'tolerant'] as const) {
    t.test(`500 parallel refreshes with one token leave one live generation (${rotation})`, async (t) => {
      const clock = stopClock(t)
      const { client, app } = await build(t, {
        rotation,
        // A busy machine must not turn the question how a chain goes on into one of how fast a store is.
        storeTimeout: '1m',
        claims: async ({ roles }) => {
          await new Promise((resolve) => setImmediate(resolve))
          return { roles }
        }
      })
      const tokens = await client.login()
      clock.advance(60)
      const answers = await Promise.all(Array.from({ length: 500 }, () => client.refresh(tokens.refresh_token)))
      t.ok(answers.every(({ statusCode }) => statusCode === 200 || statusCode === 401))
      const successors = new Set(answers.filter(({ statusCode }) => statusCode === 200).map((answer) => answer.json().refresh_token))
      t.equal(successors.size, 1, 'one distinct successor')
      const [successor] = successors
      const live = await app.jwtSession.list('user-alice')
      t.equal(live.length, 1)
      t.ok(answers.every(({ statusCode }) => statusCode === 200), 'they all overlapped, so none was refused')
      clock.advance(60)
      t.equal((await client.refresh(successor)).statusCode, 200)
      clock.advance(3600)
      t.equal((await client.refresh(tokens.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
      t.same(await app.jwtSession.list('user-alice'), [])
    })
  }
}

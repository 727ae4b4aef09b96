import t from 'tap'
import { createSessionClient } from '../../lib/client'
import { ALICE, clientApp, errorOf, LATER } from '../support/client-app'
import { answered, held, unreachable } from '../support/network'

t.test('a session that the server has ended is over, which is told once', async (t) => {
  const { app, session, net, ends } = await clientApp(t)
  await app.jwtSession.revokeAll('user-alice')
  const answers = await Promise.all(Array.from({ length: 50 }, () => session.fetch('/me')))
  for (const answer of answers) t.equal(await errorOf(answer), 'SESSION_REVOKED')
  t.equal(ends(), 1)
  t.equal(session.active, false)
  t.equal(await errorOf(await session.fetch('/me')), 'TOKEN_MISSING')
  t.equal(net.count('/refresh'), 1)
  t.equal(ends(), 1)

  await session.login(ALICE)
  await app.jwtSession.revokeAll('user-alice')
  await session.fetch('/me')
  t.equal(ends(), 2, 'the next session ends, too')
})

t.test('a session whose refresh token has expired is over', async (t) => {
  const { session, clock, ends } = await clientApp(t)
  clock.advance(8 * 86_400)
  t.equal(await errorOf(await session.fetch('/me')), 'TOKEN_EXPIRED')
  t.equal(ends(), 1)
  t.equal(session.active, false)
})

t.test('a session is over when what is stored is no token', async (t) => {
  const { address, net } = await clientApp(t)
  for (const state of ['garbage', 'garbage garbage', 'a b c']) {
    let ended = 0
    let stored = state
    const storage = { getItem: () => stored, setItem: (_key: string, value: string) => { stored = value } }
    const session = createSessionClient({ baseUrl: address, fetch: net.fetch, storage, onEnd: () => { ended++ } })
    t.equal(await errorOf(await session.fetch('/me')), 'TOKEN_INVALID')
    t.same([ended, session.active, stored], [1, false, ''])
  }
})

t.test('what is no end of the session is left to the application', async (t) => {
  const { address, session, clock, net, ends } = await clientApp(t)
  clock.advance(LATER)
  const recent = await session.fetch('/recent')
  t.equal(await errorOf(recent), 'REAUTHENTICATION_REQUIRED')
  t.match(recent.headers.get('www-authenticate'), /max_age=600/)
  t.equal(await errorOf(await session.login({ ...ALICE, password: 'wrong' })), 'INVALID_CREDENTIALS')
  await session.login({}, '/register')
  t.equal(await errorOf(await session.fetch('/admin')), 'CLAIMS_INSUFFICIENT')
  const others: [status: number, body: object | string][] = [
    [401, { code: 'TOKEN_EXPIRED' }], [401, { error: 'expired' }], [401, '<h1>401</h1>'], [401, ''], [401, 'null'], [403, {}],
    [500, { code: 'FST_JWT_SESSION_TOKEN_EXPIRED' }], [200, { code: 'FST_JWT_SESSION_TOKEN_EXPIRED' }]
  ]
  for (const [status, body] of others) {
    net.next('/me', answered(status, body))
    const answer = await session.fetch(`${address}/me`)
    t.equal(answer.status, status)
    t.equal(await answer.text(), typeof body === 'string' ? body : JSON.stringify(body), 'the body can be read')
  }
  t.equal(net.count('/refresh'), 1)
  t.equal(ends(), 0)
  t.equal(session.active, true)
})

t.test('each refusal of the refresh by the plugin ends the session', async (t) => {
  const refusals: [status: number, name: string][] = [
    [400, 'REQUEST_INVALID'], [401, 'REFRESH_TOKEN_INVALID'], [401, 'SESSION_REVOKED'], [401, 'TOKEN_MISSING']
  ]
  for (const [status, name] of refusals) {
    const { session, clock, net, ends } = await clientApp(t)
    clock.advance(LATER)
    net.next('/refresh', answered(status, { code: `FST_JWT_SESSION_${name}` }))
    t.equal(await errorOf(await session.fetch('/me')), 'TOKEN_EXPIRED')
    t.same([session.active, ends()], [false, 1], name)
  }
})

t.test('a refusal of the refresh that is not by the plugin ends nothing', async (t) => {
  const { session, clock, net, ends } = await clientApp(t)
  const refusals = [answered(401, '<h1>Who are you?</h1>'), answered(403), answered(404), answered(401, { code: 'REFRESH_TOKEN_INVALID' })]
  clock.advance(LATER)
  for (const refusal of refusals) {
    net.next('/refresh', refusal)
    t.equal(await errorOf(await session.fetch('/me')), 'TOKEN_EXPIRED')
    t.equal(session.active, true)
  }
  t.equal(net.count('/me'), refusals.length, 'without a new token nothing is sent again')
  t.equal((await session.fetch('/me')).status, 200)
  t.equal(ends(), 0)
})

t.test('a logout is no end that has to be told', async (t) => {
  const { session, net, ends } = await clientApp(t)
  const late = held('before')
  net.next('/me', late.fate)
  const request = session.fetch('/me')
  await late.reached
  await session.logout()
  late.release()
  t.equal(await errorOf(await request), 'SESSION_REVOKED')
  t.equal(net.count('/refresh'), 0)
  t.equal(ends(), 0)
})

t.test('a logout with an expired access token ends the session', async (t) => {
  const { app, session, clock, net } = await clientApp(t)
  clock.advance(LATER)
  await session.logout()
  t.equal(net.count('/refresh'), 0)
  t.same(await app.jwtSession.list('user-alice'), [])
})

t.test('a logout that the server did not confirm is an error, and the tokens are gone', async (t) => {
  const forgery = answered(403, { code: 'FST_JWT_SESSION_CSRF_FAILED' })
  for (const fates of [[unreachable], [answered(503)], [answered(500, '<h1>')], [answered(401, '<h1>')], [forgery, forgery]]) {
    const { session, net, ends } = await clientApp(t)
    net.next('/logout', ...fates)
    await t.rejects(session.logout())
    t.equal(session.active, false)
    t.equal(await errorOf(await session.fetch('/me')), 'TOKEN_MISSING')
    t.equal(ends(), 0)
  }
  const { session, net } = await clientApp(t)
  net.next('/logout', answered(503))
  await t.rejects(session.logout(), { message: 'Not logged out', cause: { status: 503 } })
})

t.test('the tokens are gone before the server has answered a logout', async (t) => {
  const { session, net } = await clientApp(t)
  const slow = held('before')
  net.next('/logout', slow.fate)
  const logout = session.logout()
  await slow.reached
  t.equal(session.active, false)
  slow.release()
  await logout
})

t.test('a logout without a session is done already', async (t) => {
  const { address, session, net } = await clientApp(t)
  await session.logout()
  await session.logout()
  const stranger = createSessionClient({ baseUrl: address, fetch: net.fetch, storage: { getItem: () => 'garbage garbage', setItem () {} } })
  await stranger.logout()
  await t.rejects(session.logout({ everywhere: true }), { message: 'Not logged out', cause: { status: 401 } }, 'nothing says whose sessions')
})

t.test('a logout everywhere ends all sessions, with an expired access token too', async (t) => {
  const { app, client, session, clock } = await clientApp(t)
  await client.login()
  clock.advance(LATER)
  await session.logout({ everywhere: true })
  t.same(await app.jwtSession.list('user-alice'), [])
  t.equal(session.active, false)
})

t.test('a logout everywhere that cannot be tried is an error, and the tokens are gone', async (t) => {
  const { session, net } = await clientApp(t)
  net.next('/refresh', unreachable, unreachable)
  net.next('/logout', unreachable)
  await t.rejects(session.logout({ everywhere: true }), { message: 'fetch failed' })
  t.equal(session.active, false)
})

t.test('a refresh that is answered after the logout brings nothing back', async (t) => {
  const { session, clock, net, ends } = await clientApp(t)
  clock.advance(LATER)
  const slow = held('after')
  net.next('/refresh', slow.fate)
  const request = session.fetch('/me')
  await slow.reached
  await session.logout()
  slow.release()
  t.equal(await errorOf(await request), 'TOKEN_EXPIRED')
  t.equal(session.active, false)
  t.equal(ends(), 0)
})

t.test('a refresh of the session before is nothing to that after the next login', async (t) => {
  const fates = [held('before'), held('after')]
  for (const slow of fates) {
    const { app, session, clock, net, ends } = await clientApp(t)
    clock.advance(LATER)
    net.next('/refresh', slow.fate)
    const request = session.fetch('/me')
    await slow.reached
    await app.jwtSession.revokeAll('user-alice')
    await session.login({}, '/register')
    slow.release()
    t.match(await (await request).json(), { subject: 'user-bob' })
    t.equal(session.active, true)
    t.equal(ends(), 0)
  }
})

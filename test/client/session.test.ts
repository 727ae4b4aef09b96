import t from 'tap'
import { createSessionClient } from '../../lib/client'
import { lookupIn, makeUsers } from '../support/app'
import { ALICE, clientApp, errorOf, LATER } from '../support/client-app'
import { answered, held, lost, unreachable, type Fate } from '../support/network'

t.test('a session lasts from login to logout', async (t) => {
  const { address, session, events } = await clientApp(t)
  t.equal(session.active, true)
  t.match(await (await session.fetch('/me')).json(), { subject: 'user-alice' })
  for (const input of [`${address}/me`, new URL(`${address}/me`), new Request(`${address}/me`, { headers: { accept: 'text/plain' } })]) {
    t.equal((await session.fetch(input)).status, 200)
  }

  await session.logout()
  t.equal(session.active, false)
  t.match(events.at(-1), { name: 'session.revoked', reason: 'logout' })
  t.equal(await errorOf(await session.fetch('/me')), 'TOKEN_MISSING')
  await session.login(ALICE)
  t.equal((await session.fetch('/me')).status, 200)
})

t.test('login answers what the server answered, body included', async (t) => {
  const { session } = await clientApp(t, { presentUser: ({ id }) => ({ id }) })
  t.match(await (await session.login(ALICE)).json(), { user: { id: 'user-alice' } })
  await session.logout()
  const refused = await session.login({ ...ALICE, password: 'wrong' })
  t.equal(refused.status, 401)
  t.equal(await errorOf(refused), 'INVALID_CREDENTIALS')
  t.equal(session.active, false)
})

t.test('a refused login leaves the session of before as it is', async (t) => {
  const { session, net, ends } = await clientApp(t)
  t.equal((await session.login({ ...ALICE, password: 'wrong' })).status, 401)
  t.equal((await session.fetch('/me')).status, 200)
  t.equal(net.count('/refresh'), 0)
  t.equal(ends(), 0)
})

t.test('login can post to another route that answers tokens', async (t) => {
  const { session } = await clientApp(t)
  t.equal((await session.login({ username: 'bob' }, '/register')).status, 201)
  t.match(await (await session.fetch('/me')).json(), { subject: 'user-bob' })
})

t.test('a good answer to a login without tokens is an error', async (t) => {
  const { session, net } = await clientApp(t)
  await session.logout()
  net.next('/login', answered(200, { csrf_token: 'a' }))
  await t.rejects(session.login(ALICE), { message: 'No token' })
  t.equal(session.active, false)
})

t.test('routes with other paths, below a path', async (t) => {
  const routes = { login: '/auth/in', refresh: '/auth/more', logout: '/auth/out' }
  const { address, session, net, clock } = await clientApp(t, { routes: { prefix: '/api', ...routes } }, { routes })
  const nested = createSessionClient({ baseUrl: `${address}/api`, fetch: net.fetch, routes })
  t.equal(session.active, false, 'that is not where they are')
  t.equal((await nested.login(ALICE)).status, 200)
  clock.advance(LATER)
  t.equal((await nested.fetch('/auth/more', { method: 'POST' })).status, 400, 'below the path')
  await nested.logout({ everywhere: true })
  t.same(['/api/auth/in', '/api/auth/more', '/api/auth/out'].map(net.count), [1, 2, 1])
})

t.test('outside of a page the address is absolute', async (t) => {
  t.throws(() => createSessionClient(), { code: 'ERR_INVALID_URL' })
  t.throws(() => createSessionClient({ baseUrl: '/api' }), { code: 'ERR_INVALID_URL' })
  t.equal(createSessionClient({ baseUrl: 'http://localhost' }).active, false)
})

t.test('an expired access token is renewed and the request sent again, whatever its body', async (t) => {
  const { address, session, clock, net, events } = await clientApp(t)
  const form = new FormData()
  form.set('name', 'value')
  const json = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a":1}' }
  const stream = { method: 'POST', body: new Blob(['abc']).stream(), duplex: 'half', headers: { 'content-type': 'text/plain' } } as RequestInit
  const requests: [name: string, ask: () => Promise<Response>, wanted: RegExp][] = [
    ['a string', () => session.fetch('/echo', json), /{"body":{"a":1}}/],
    ['a Request', () => session.fetch(new Request(`${address}/echo`, json)), /{"body":{"a":1}}/],
    ['a Blob', () => session.fetch('/echo', { method: 'POST', body: new Blob(['abc'], { type: 'text/plain' }) }), /abc/],
    ['a form', () => session.fetch('/echo', { method: 'POST', body: form }), /value/],
    ['a stream', () => session.fetch('/echo', stream), /abc/]
  ]
  for (const [index, [name, ask, wanted]] of requests.entries()) {
    clock.advance(LATER)
    const answer = await ask()
    t.equal(answer.status, 200, name)
    t.match(await answer.text(), wanted, name)
    t.equal(net.count('/refresh'), index + 1)
  }
  t.equal(events.filter(({ name }) => name === 'refresh.succeeded').length, requests.length)
})

t.test('a token that the server no longer knows is renewed, too', async (t) => {
  const { session, net } = await clientApp(t)
  net.next('/me', answered(401, { code: 'FST_JWT_SESSION_TOKEN_INVALID' }))
  t.equal((await session.fetch('/me')).status, 200)
  t.equal(net.count('/refresh'), 1)
})

t.test('a request is sent again once, not for ever', async (t) => {
  const { session, net, ends } = await clientApp(t)
  const expired = answered(401, { code: 'FST_JWT_SESSION_TOKEN_EXPIRED' })
  net.next('/me', expired, expired)
  t.equal((await session.fetch('/me')).status, 401)
  t.equal(net.count('/me'), 2)
  t.equal(net.count('/refresh'), 1)
  t.equal(ends(), 0)
})

t.test('a hundred requests that are refused at once cause one refresh', async (t) => {
  const { session, clock, net, events } = await clientApp(t)
  clock.advance(LATER)
  const answers = await Promise.all(Array.from({ length: 100 }, () => session.fetch('/me')))
  t.same(new Set(answers.map(({ status }) => status)), new Set([200]))
  t.equal(net.count('/refresh'), 1)
  t.equal(net.count('/me'), 200)
  t.equal(events.filter(({ name }) => name === 'refresh.succeeded').length, 1)
})

t.test('a refusal that arrives after the refresh causes no second one', async (t) => {
  const { session, clock, net } = await clientApp(t)
  clock.advance(LATER)
  const late = held('after')
  net.next('/me', late.fate)
  const slow = session.fetch('/me')
  await late.reached
  t.equal((await session.fetch('/me')).status, 200)
  late.release()
  t.equal((await slow).status, 200)
  t.equal(net.count('/refresh'), 1)
})

t.test('a refresh whose answer is lost is asked for again', async (t) => {
  const { session, clock, net, ends } = await clientApp(t)
  const cut: Fate = async (go) => {
    await go()
    return new Response(new ReadableStream({ start: (stream) => stream.error(new TypeError('terminated')) }))
  }
  for (const fate of [lost, cut]) {
    clock.advance(LATER)
    net.next('/refresh', fate)
    t.equal((await session.fetch('/me')).status, 200)
  }
  t.equal(net.count('/refresh'), 4)
  t.equal(ends(), 0)
})

t.test('a refresh that nobody answers is given up, and asked for again', async (t) => {
  const { session, clock, net } = await clientApp(t)
  const { timeout } = AbortSignal
  t.teardown(() => { AbortSignal.timeout = timeout })
  const delays: number[] = []
  AbortSignal.timeout = (delay) => {
    delays.push(delay)
    return delays.length === 1 ? AbortSignal.abort(new Error('too late')) : timeout.call(AbortSignal, delay)
  }
  clock.advance(LATER)
  net.next('/refresh', (_go, { signal }) => { throw signal.reason })
  t.equal((await session.fetch('/me')).status, 200)
  t.same(delays, [30_000, 30_000])
})

t.test('while there is no network the session goes on, and callers get the error', async (t) => {
  const { session, clock, net, ends } = await clientApp(t)
  clock.advance(LATER)
  net.next('/refresh', unreachable, unreachable)
  await t.rejects(session.fetch('/me'), { message: 'fetch failed' })
  t.equal(session.active, true)
  t.equal((await session.fetch('/me')).status, 200)
  t.equal(ends(), 0)
})

t.test('while the server cannot refresh the session goes on, and callers get its answer', async (t) => {
  const lookup = lookupIn(makeUsers())
  let isDown = false
  function findById (id: string) {
    if (isDown) throw new Error('down')
    return lookup.findById(id)
  }
  const { session, clock, net, ends } = await clientApp(t, { userLookup: { ...lookup, findById } })
  clock.advance(LATER)
  isDown = true
  for (const answer of await Promise.all(Array.from({ length: 5 }, () => session.fetch('/me')))) {
    t.match({ status: answer.status, after: answer.headers.get('retry-after') }, { status: 503, after: '1' })
    t.equal(await errorOf(answer), 'STORE_UNAVAILABLE')
  }
  net.next('/refresh', answered(429))
  t.equal((await session.fetch('/me')).status, 429)
  t.equal(session.active, true)
  isDown = false
  t.equal((await session.fetch('/me')).status, 200)
  t.equal(ends(), 0)
})

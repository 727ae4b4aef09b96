import t, { type Test } from 'tap'
import { createSessionClient } from '../../lib/client'
import { ALICE, clientApp, errorOf, LATER } from '../support/client-app'
import { cookieJar } from '../support/cookie-jar'
import { answered, unreachable } from '../support/network'
import { pages } from '../support/pages'

/** A browser whose pages have one cookie jar. */
async function browser (t: Test) {
  const { load, stored, locks } = pages(t)
  const app = await clientApp(t)
  const jar = cookieJar(app.net)
  function open ({ shares = false } = {}) {
    return load((shared) => {
      let ended = 0
      const storage = shares ? { storage: shared } : {}
      const session = createSessionClient({
        baseUrl: app.address, transport: 'cookie', fetch: (...args) => jar.fetch(...args), onEnd: () => { ended++ }, ...storage
      })
      return { session, ends: () => ended }
    })
  }
  return { ...app, jar, stored, locks, open }
}

const echo = { method: 'POST', body: 'text', headers: { 'content-type': 'text/plain' } }

t.test('a session in cookies lasts from login to logout', async (t) => {
  const { jar, open, clock, net } = await browser(t)
  const { session, ends } = open()
  t.same(await (await session.login(ALICE)).json(), { csrf_token: `csrf-of-${JSON.parse(atob(String(jar.refresh).split('.')[1] as string)).sid}`, expires_in: 900 })
  t.match(await (await session.fetch('/me')).json(), { subject: 'user-alice' })
  t.equal((await session.fetch('/echo', echo)).status, 200)
  for (const loses of ['nothing', 'access'] as const) {
    clock.advance(LATER)
    if (loses === 'access') jar.access = undefined
    t.equal((await session.fetch('/echo', echo)).status, 200, `the browser drops ${loses}`)
  }
  t.equal(net.count('/refresh'), 2)
  await session.logout()
  t.same([session.active, jar.refresh, ends()], [false, undefined, 0])
})

t.test('a page sends the CSRF token of its session', async (t) => {
  const { open, jar, clock } = await browser(t)
  const { session } = open()
  await session.login(ALICE)
  const { fetch } = jar
  const sent: string[] = []
  jar.fetch = async (input, init) => {
    const { url, headers } = input as Request
    sent.push(`${new URL(url).pathname} ${headers.get('x-csrf-token')?.slice(0, 8)}`)
    return await fetch(input, init)
  }
  clock.advance(LATER)
  await session.fetch('/me')
  await session.login(ALICE)
  await session.logout()
  t.same(sent, ['/me csrf-of-', '/refresh csrf-of-', '/me csrf-of-', '/login undefined', '/logout csrf-of-'], 'not to a login: that begins another one')
})

t.test('a page that was loaded anew goes on with the session', async (t) => {
  const { jar, open, clock, net } = await browser(t)
  await open().session.login(ALICE)
  const { session, ends } = open()
  t.equal(session.active, true)
  t.equal((await session.fetch('/echo', echo)).status, 200)
  clock.advance(LATER)
  jar.access = undefined
  t.equal((await session.fetch('/me')).status, 200)
  t.equal(net.count('/refresh'), 1)
  await open().session.logout()
  t.equal(await errorOf(await session.fetch('/me')), 'TOKEN_MISSING')
  t.same([session.active, ends()], [false, 1])
})

t.test('a page finds out that there is no session, and is told once', async (t) => {
  const { open } = await browser(t)
  const { session, ends } = open()
  t.equal(session.active, true, 'nothing is known')
  for (const answer of await Promise.all([session.fetch('/me'), session.fetch('/me')])) t.equal(await errorOf(answer), 'TOKEN_MISSING')
  t.equal(await errorOf(await session.fetch('/me')), 'TOKEN_MISSING')
  t.same([session.active, ends()], [false, 1])
  await session.login(ALICE)
  t.same([session.active, ends()], [true, 1])
})

t.test('a page without storage notices that another one has logged in', async (t) => {
  const { open, clock } = await browser(t)
  const { session, ends } = open()
  await session.fetch('/me')
  await open().session.login(ALICE)
  clock.advance(LATER)
  t.equal((await session.fetch('/me')).status, 200)
  t.same([session.active, ends()], [true, 1])
})

t.test('a session that another page has replaced is not in the way', async (t) => {
  const { open, clock, jar } = await browser(t)
  const { session, ends } = open()
  await session.login(ALICE)
  await open().session.login({}, '/register')
  t.match(await (await session.fetch('/echo', echo)).json(), { body: 'text' })
  clock.advance(LATER)
  t.match(await (await session.fetch('/me')).json(), { subject: 'user-bob' })
  t.equal(ends(), 0)
  await open().session.login(ALICE)
  await session.logout()
  t.equal(jar.refresh, undefined)
})

t.test('pages that share a storage refresh once', async (t) => {
  const { open, clock, net, locks, stored } = await browser(t)
  const { session } = open({ shares: true })
  await session.login(ALICE)
  const others = Array.from({ length: 4 }, () => open({ shares: true }).session)
  clock.advance(LATER)
  const answers = await Promise.all([session, ...others].map((page) => page.fetch('/me')))
  t.same(answers.map(({ status }) => status), [200, 200, 200, 200, 200])
  t.equal(net.count('/refresh'), 1)
  t.equal(locks(), 5)
  t.notMatch(JSON.stringify(Array.from(stored)), /eyJ/, 'no token is stored')
})

t.test('a server that cannot refresh ends nothing', async (t) => {
  const { open, clock, net } = await browser(t)
  const { session, ends } = open()
  await session.login(ALICE)
  clock.advance(LATER)
  net.next('/refresh', answered(503), unreachable, unreachable)
  t.equal((await session.fetch('/me')).status, 503)
  await t.rejects(session.fetch('/me'), { message: 'fetch failed' })
  t.equal((await session.fetch('/me')).status, 200)
  t.same([session.active, ends()], [true, 0])
})

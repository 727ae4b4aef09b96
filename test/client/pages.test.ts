import t, { type Test } from 'tap'
import { createSessionClient } from '../../lib/client'
import { ALICE, clientApp, errorOf, LATER } from '../support/client-app'
import { held } from '../support/network'
import { pages } from '../support/pages'

/** A browser whose pages share a storage. */
async function browser (t: Test, { hasLocks = true } = {}) {
  const app = await clientApp(t)
  const { load, stored, locks } = pages(t, { href: `${app.address}/app/index.html?a=b#c`, hasLocks })
  function open (baseUrl?: string) {
    return load((storage) => {
      let ended = 0
      const session = createSessionClient({ baseUrl, fetch: app.net.fetch, storage, onEnd: () => { ended++ } })
      return { session, ends: () => ended }
    })
  }
  return { ...app, stored, locks, open }
}

t.test('a page knows its origin', async (t) => {
  const { address, open, net } = await browser(t)
  for (const baseUrl of [undefined, '', '/', address, `${address}/`]) {
    const { session } = open(baseUrl)
    t.equal((await session.login(ALICE)).status, 200)
    t.equal((await session.fetch('/me')).status, 200)
    await session.logout()
  }
  await open('/api').session.fetch('/me')
  t.equal(net.count('/api/me'), 1)
})

t.test('a page that is loaded later has the session, and one for another address has not', async (t) => {
  const { open } = await browser(t)
  await open().session.login(ALICE)
  const { session } = open()
  t.equal(session.active, true)
  t.match(await (await session.fetch('/me')).json(), { subject: 'user-alice' })
  t.equal(open('/api').session.active, false)
})

t.test('any number of pages whose token expires causes one refresh', async (t) => {
  const { open, clock, net, locks } = await browser(t)
  await open().session.login(ALICE)
  const sessions = Array.from({ length: 5 }, () => open().session)
  clock.advance(LATER)
  const answers = await Promise.all(sessions.flatMap((session) => [session.fetch('/me'), session.fetch('/me')]))
  t.same(new Set(answers.map(({ status }) => status)), new Set([200]))
  t.equal(net.count('/refresh'), 1)
  t.ok(locks() >= 5)
})

t.test('a page takes the tokens that another one has got meanwhile', async (t) => {
  const { open, clock, net } = await browser(t)
  const [one, other] = [open(), open()]
  await one.session.login(ALICE)
  clock.advance(LATER)
  const late = held('after')
  net.next('/me', late.fate)
  const slow = one.session.fetch('/me')
  await late.reached
  await other.session.fetch('/me')
  late.release()
  t.equal((await slow).status, 200)
  t.equal(net.count('/refresh'), 1)
})

t.test('without locks pages refresh each for itself, and the session goes on', async (t) => {
  const { open, clock, net, locks, events } = await browser(t, { hasLocks: false })
  const [one, other] = [open(), open()]
  await one.session.login(ALICE)
  clock.advance(LATER)
  const slow = held('before')
  net.next('/refresh', slow.fate)
  const first = one.session.fetch('/me')
  await slow.reached
  t.equal((await other.session.fetch('/me')).status, 200)
  slow.release()
  t.equal((await first).status, 200)
  t.same([net.count('/refresh'), locks(), one.ends(), other.ends()], [2, 0, 0, 0])
  t.notOk(events.some(({ name }) => name === 'session.reused'))
})

t.test('every page is told once that the session is over', async (t) => {
  const { app, open } = await browser(t)
  const all = [open(), open(), open()]
  await all[0]?.session.login(ALICE)
  t.same(all.map(({ session }) => session.active), [true, true, true])
  await app.jwtSession.revokeAll('user-alice')
  await Promise.all(all.map(({ session }) => session.fetch('/me')))
  t.same(all.map(({ session, ends }) => [session.active, ends()]), [[false, 1], [false, 1], [false, 1]])
})

t.test('a logout ends the session in the other pages', async (t) => {
  const { open } = await browser(t)
  const [one, other] = [open(), open()]
  await one.session.login(ALICE)
  await one.session.logout()
  t.same([one, other].map(({ session, ends }) => [session.active, ends()]), [[false, 0], [false, 1]])
  t.equal(await errorOf(await other.session.fetch('/me')), 'TOKEN_MISSING')
  t.equal(other.ends(), 1)
})

t.test('what else is stored concerns nobody', async (t) => {
  const { open, stored } = await browser(t)
  const { session, ends } = open()
  const other = open('/api')
  await session.login(ALICE)
  await t.rejects(other.session.logout(), { cause: { status: 404 } }, 'nobody is there')
  t.same([session.active, ends(), other.ends()], [true, 0, 0])
  t.equal(stored.size, 2)
})

t.test('a page goes on as whom another one has logged in', async (t) => {
  const { open } = await browser(t)
  const [one, other] = [open(), open()]
  await one.session.login(ALICE)
  await other.session.login({}, '/register')
  t.match(await (await one.session.fetch('/me')).json(), { subject: 'user-bob' })
  t.equal(one.ends(), 0)
})

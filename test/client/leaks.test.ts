import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { createSessionClient } from '../../lib/client'
import { ALICE, clientApp, LATER } from '../support/client-app'
import { network } from '../support/network'

/** A server that answers everything in the same way, and what it was told. */
async function stranger (t: Test, location?: string) {
  const app = Fastify()
  const heard: string[] = []
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  app.all('/*', ({ headers, body, url }, reply) => {
    heard.push(`${url} ${JSON.stringify({ headers, body })}`)
    return location === undefined ? {} : reply.redirect(location, 307)
  })
  const address = await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => {
    app.server.closeAllConnections()
    return app.close()
  })
  return { address, host: new URL(address).host, heard }
}

/** A session with tokens that no server has to know. */
function sessionAt (baseUrl: string) {
  let stored = 'the-access-token the-refresh-token'
  const net = network()
  const storage = { getItem: () => stored, setItem: (_key: string, value: string) => { stored = value } }
  return { net, session: createSessionClient({ baseUrl, fetch: net.fetch, storage }) }
}

const TOKEN = /token|eyJ|bearer/i

t.test('another origin never gets a token', async (t) => {
  const { session } = await clientApp(t)
  const { address, heard } = await stranger(t)
  await session.fetch(`${address}/string`)
  await session.fetch(new URL(`${address}/url`))
  await session.fetch(new Request(`${address}/request`))
  await session.fetch(`${address}/post`, { method: 'POST', body: 'text' })
  t.same(heard.map((line) => line.split(' ')[0]), ['/string', '/url', '/request', '/post'])
  t.match(heard[3], '"body":"text"', 'all else is as it was given')
  for (const line of heard) t.notMatch(line, TOKEN)
})

t.test('what begins with a slash is below the address, whatever follows', async (t) => {
  const { host, address: other, heard: othersHeard } = await stranger(t)
  const { address, heard } = await stranger(t)
  const { session } = sessionAt(address)
  for (const path of [`//${host}/a`, `/\\${host}/b`, `/${other}/c`, `///${host}/d`]) await session.fetch(path)
  t.equal(heard.length, 4)
  t.same(othersHeard, [])
  for (const look of [`${address}@${host}/e`, `${address.replace(/\d$/, '')}:0/`]) await t.rejects(session.fetch(look), TypeError)
})

t.test('another path of the origin never gets a token', async (t) => {
  const { address, heard } = await stranger(t)
  for (const baseUrl of [`${address}/api`, `${address}/api/`]) {
    const { session } = sessionAt(baseUrl)
    for (const path of ['/in', '/../out', '/%2e%2e/out', '/x/../../out', '/../apis']) await session.fetch(path)
    for (const url of [`${address}/api`, `${address}/apis/out`, `${address}/api/in`]) await session.fetch(url)
  }
  t.equal(heard.length, 16)
  t.equal(heard.filter((line) => line.startsWith('/api/in ')).length, 4)
  for (const line of heard) t.equal(TOKEN.test(line), line.startsWith('/api/in '), line)
})

t.test('a redirect to another origin does not carry the token', async (t) => {
  const { address: other, heard: othersHeard } = await stranger(t)
  const { address, heard } = await stranger(t, other)
  const { session } = sessionAt(address)
  await session.fetch('/away')
  await session.fetch('/away', { method: 'POST', body: 'text' })
  t.match(heard, [/the-access-token/, /the-access-token/])
  t.equal(othersHeard.length, 2)
  for (const line of othersHeard) t.notMatch(line, TOKEN)
})

t.test('credentials do not follow a redirect at all', async (t) => {
  const { address: other, heard: othersHeard } = await stranger(t)
  const { address, heard } = await stranger(t, other)
  const { session } = sessionAt(address)
  await t.rejects(session.login(ALICE), TypeError)
  await t.rejects(session.logout(), TypeError)
  t.equal(heard.length, 2)
  t.same(othersHeard, [])
})

t.test('the refresh token goes to the refresh route only', async (t) => {
  const { session, clock, net } = await clientApp(t)
  const sent: string[] = []
  const log = async (go: () => Promise<Response>, request: Request) => {
    sent.push(`${new URL(request.url).pathname} ${request.headers.get('authorization') === null ? '' : 'access'} ${await request.clone().text()}`)
    return await go()
  }
  clock.advance(LATER)
  net.next('/me', log, log)
  net.next('/refresh', log)
  net.next('/logout', log)
  await session.fetch('/me')
  await session.logout()
  t.match(sent, ['/me access ', /^\/refresh {2}{"refresh_token":"eyJ/, '/me access ', '/logout access {}'])
})

t.test('a logout is sent, even if its page is left at once', async (t) => {
  const { session, net } = await clientApp(t)
  net.next('/logout', (go, request) => {
    t.equal(request.keepalive, true)
    return go()
  })
  await session.logout()
})

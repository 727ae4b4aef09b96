import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { readHeader } from '../../lib/header-fields'
import { createKeyRing } from '../../lib/key-ring'
import { followKeys } from '../../lib/remote-keys'
import jwtSession, { type TokenAnswer } from '../../lib'
import { buildApp, clientOf, type Client } from '../support/app'
import { forgeBy, parse, reforge } from '../support/forge'
import { makeKey, type TestKey } from '../support/keys'
import { VirtualTime } from '../support/virtual-time'

const UNAVAILABLE = { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE', statusCode: 503 }

/** A server that publishes what it is told, counts, and can be made to fail. */
interface Publisher {
  url: string
  fetches: number
  answer: { status: number, body: string, headers?: Record<string, string> }
  publish (...keys: TestKey[]): void
  close (): Promise<void>
}

async function publisher (t: Test): Promise<Publisher> {
  const server: Server = createServer((_request, response) => {
    self.fetches++
    response.writeHead(self.answer.status, self.answer.headers).end(self.answer.body)
  })
  const self: Publisher = {
    url: '',
    fetches: 0,
    answer: { status: 200, body: '{}' },
    publish (...keys) {
      const jwks = keys.map(({ option: { kid, algorithm: alg }, publicKey }) => ({ ...publicKey?.export({ format: 'jwk' }), kid, alg, use: 'sig' }))
      self.answer = { status: 200, body: JSON.stringify({ keys: jwks }) }
    },
    async close () {
      server.closeAllConnections()
      if (server.listening) await once(server.close(), 'close')
    }
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(self.close)
  self.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`
  return self
}

const [one, two] = [makeKey('EdDSA', 'one'), makeKey('ES256', 'two')]

function tokenOf ({ option, signs }: TestKey, kid = option.kid): string {
  return forgeBy(option.algorithm, signs, { alg: option.algorithm, typ: 'at+jwt', kid }, {})
}

async function follower (t: Test, server: Publisher) {
  const time = new VirtualTime()
  const warnings: unknown[] = []
  const log = Object.assign(Fastify().log, { warn: (...args: unknown[]) => { warnings.push(args) } })
  const ring = createKeyRing({ keys: [], signing: undefined, header: readHeader(undefined) })
  const remote = followKeys(ring, { url: server.url, refreshInterval: 300, cooldown: 30 }, log, time)
  t.teardown(() => remote.close())
  const kids = () => ring.live.list().map(({ kid }) => kid)
  return { time, warnings, ring, remote, kids }
}

t.test('what is published is known, and fetched again regularly', async (t) => {
  const server = await publisher(t)
  server.publish(one)
  const { time, warnings, ring, remote, kids } = await follower(t, server)
  let retired = 0
  ring.onRetire(() => { retired++ })
  await remote.start()
  t.same(kids(), ['one'])
  const verified = ring.verify(tokenOf(one), 'at+jwt')
  t.ok(verified)

  server.publish(one, two)
  await time.run(299)
  t.equal(server.fetches, 1)
  await time.run(1)
  await remote.start()
  t.equal(server.fetches, 2)
  t.same(kids(), ['one', 'two'])
  t.equal(retired, 0)

  server.publish(two)
  await time.run(300)
  await remote.start()
  t.same(kids(), ['two'])
  t.equal(ring.verify(tokenOf(one), 'at+jwt'), undefined)
  t.equal(retired, 1)

  await time.run(300)
  const last = remote.start()
  remote.close()
  await last
  const real = globalThis.fetch
  t.teardown(() => { globalThis.fetch = real })
  globalThis.fetch = async () => { throw new Error('It is closed') }
  await time.run(10_000)
  t.same([server.fetches, warnings], [4, []], 'and not after it was closed, not even by what was under way')
})

t.test('I2: a kid that nobody knows is looked for once in a cooldown, by all who ask together', async (t) => {
  const server = await publisher(t)
  server.publish(one)
  const { time, remote, kids } = await follower(t, server)
  await remote.start()
  t.equal(remote.fetchFor(tokenOf(one)), undefined)
  t.equal(remote.fetchFor(tokenOf(two)), undefined, 'it was looked for a moment ago')

  server.publish(one, two)
  await time.run(30)
  const waits = Array.from({ length: 100 }, (_, index) => remote.fetchFor(tokenOf(two, `unknown-${index}`)))
  t.ok(waits.every((wait) => wait instanceof Promise))
  t.equal(remote.fetchFor(tokenOf(one)), undefined, 'who is known does not wait')
  await Promise.all(waits)
  t.equal(server.fetches, 2)
  t.same(kids(), ['one', 'two'])
  for (let index = 0; index < 100; index++) t.equal(remote.fetchFor(tokenOf(two, `unknown-${index}`)), undefined)
  await time.run(29)
  t.equal(remote.fetchFor(tokenOf(two, 'x')), undefined)
  t.equal(server.fetches, 2)
  for (const token of ['', '.', 'x.y.z', reforge(tokenOf(one), {}, { kid: 4 }), reforge(tokenOf(one), {}, { kid: undefined })]) {
    await time.run(60)
    t.equal(remote.fetchFor(token), undefined, 'what names no key is not looked for')
  }
})

t.test('while keys cannot be fetched, those that are known serve, and others are 503', async (t) => {
  const server = await publisher(t)
  server.publish(one)
  const { time, warnings, ring, remote, kids } = await follower(t, server)
  await remote.start()
  const { body } = server.answer
  const broken: Publisher['answer'][] = [
    { status: 500, body }, { status: 404, body: '' }, { status: 200, body: '' }, { status: 200, body: '<html>' }, { status: 200, body: 'null' }, { status: 200, body: '{"keys":[]}' },
    { status: 302, body: '', headers: { location: server.url } }
  ]
  for (const [index, answer] of broken.entries()) {
    server.answer = answer
    await time.run(30)
    await t.rejects(remote.fetchFor(tokenOf(two)) as Promise<void>, UNAVAILABLE)
    t.throws(() => remote.fetchFor(tokenOf(two)), UNAVAILABLE, 'within the cooldown it is not asked again')
    t.equal(server.fetches, 2 + index)
    t.equal(remote.fetchFor(tokenOf(one)), undefined)
    t.ok(ring.verify(tokenOf(one), 'at+jwt'))
  }
  t.equal(warnings.length, 1, 'an outage is one line in the log')

  server.publish(two)
  await time.run(30)
  await remote.start()
  t.same(kids(), ['two'], 'it is tried again after the cooldown')
  t.equal(remote.fetchFor(tokenOf(one)), undefined)
})

t.test('a resource server follows an issuing application over HTTP', async (t) => {
  const issuing = await buildApp(t, { secret: undefined, keys: [one.option], routes: { jwks: true } })
  const address = await issuing.app.listen({ port: 0, host: '127.0.0.1' })
  const serve = async (url: string): Promise<Client> => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(jwtSession, { jwks: { url }, revocationStore: false })
    app.get('/me', { onRequest: [app.authenticate] }, ({ auth }) => auth)
    return clientOf(app)
  }
  const client = await serve(`${address}/.well-known/jwks.json`)
  const tokens = await issuing.client.login()
  t.equal((await client.get('/me', tokens.access_token)).statusCode, 200)

  await issuing.app.jwtSession.keys.add(two.option)
  issuing.app.jwtSession.keys.promote('two')
  const renewed = (await issuing.client.refresh(tokens.refresh_token)).json() as TokenAnswer
  t.equal(parse(renewed.access_token).header.kid, 'two')
  t.equal((await client.get('/me', renewed.access_token)).code, 'TOKEN_INVALID', 'it has looked a moment ago')
  const steady = performance.now
  performance.now = () => steady.call(performance) + 30_000
  t.teardown(() => { performance.now = steady })
  const answers = await Promise.all(Array.from({ length: 50 }, async () => await client.get('/me', renewed.access_token)))
  t.ok(answers.every(({ statusCode }) => statusCode === 200), 'all wait for one fetch')
  t.equal((await client.get('/me', reforge(tokens.access_token, {}, { kid: 'unknown' }))).code, 'TOKEN_INVALID')

  const alone = await serve('http://127.0.0.1:9/jwks.json')
  t.equal((await alone.get('/me', tokens.access_token)).code, 'STORE_UNAVAILABLE', 'it starts without the other, and lets nobody in')
})

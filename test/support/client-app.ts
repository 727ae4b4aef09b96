import type { Test } from 'tap'
import { createSessionClient, type SessionClient, type SessionClientOptions } from '../../lib/client'
import { buildApp, type TestApp } from './app'
import { stopClock, type Clock } from './clock'
import { network, type Network } from './network'

/** Longer than an access token lasts. */
export const LATER = 901

export const ALICE = { username: 'alice', password: 'wonderland' }

export interface ClientApp extends TestApp {
  address: string
  clock: Clock
  net: Network
  session: SessionClient
  /** How often the client has said that its session is over. */
  ends (): number
}

/** An application that listens, with `/echo` and `/register` besides, and a client of it that has logged in. */
export async function clientApp (t: Test, options: Parameters<typeof buildApp>[1] = {}, own: SessionClientOptions = {}): Promise<ClientApp> {
  const clock = stopClock(t)
  const built = await buildApp(t, { rotation: 'tolerant', ...options })
  const { app, users } = built
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  app.post('/echo', { onRequest: [app.authenticate] }, ({ body }) => ({ body }))
  app.post('/register', async (_request, reply) => reply.code(201).send(await app.jwtSession.login(users.get('bob') as never)))

  const address = await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.server.closeAllConnections())
  const net = network()
  let ended = 0
  const session = createSessionClient({ baseUrl: address, fetch: net.fetch, onEnd: () => { ended++ }, ...own })
  await session.login(ALICE)
  return { ...built, address, clock, net, session, ends: () => ended }
}

/** The name of the error that an answer tells. */
export async function errorOf (answer: Response): Promise<string | undefined> {
  return (await answer.json() as { code?: string }).code?.replace('FST_JWT_SESSION_', '')
}

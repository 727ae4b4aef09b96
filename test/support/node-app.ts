// One node of an application on several: node-app.ts ENGINE NAMESPACE. Tells its port to the process that forked it.
import Fastify from 'fastify'
import jwtSession from '../../lib'
import { lookupIn, makeUsers, plainPasswords, SECRET } from './app'
import { engineNamed } from './engines'

async function start (engine: string, namespace: string): Promise<void> {
  const { store, close } = await engineNamed(engine).open(namespace)
  const app = Fastify()
  let reads = 0
  const counted = { ...store, read: (refs: Parameters<typeof store.read>[0]) => { reads++; return store.read(refs) } }
  for (const rotation of ['strict', 'tolerant'] as const) {
    await app.register(async (child) => {
      await child.register(jwtSession, {
        secret: SECRET,
        issuer: rotation,
        rotation,
        userLookup: lookupIn(makeUsers()),
        passwords: plainPasswords,
        revocationStore: counted,
        routes: { prefix: `/${rotation}` }
      })
      child.get(`/${rotation}/me`, { onRequest: [child.authenticate] }, (request) => ({ id: request.auth.subject }))
      child.get(`/${rotation}/sessions`, async () => await child.jwtSession.list('user-alice'))
    })
  }
  app.get('/reads', () => reads)
  app.addHook('onClose', async () => await close(false))
  // Time goes on in all nodes when the test says so.
  const { now } = Date
  let ahead = 0
  process.on('message', (seconds: number) => {
    ahead += seconds * 1000
    Date.now = () => now() + ahead
    process.send?.(ahead)
  })
  process.once('disconnect', () => { app.close().finally(() => process.exit()) })
  await app.listen({ host: '127.0.0.1', port: 0 })
  process.send?.((app.server.address() as { port: number }).port)
}

start(...process.argv.slice(2) as [string, string]).catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})

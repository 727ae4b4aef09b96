import t from 'tap'
import { buildApp, type TestApp } from '../support/app'
import { engineNamed, newNamespace, skipReason } from '../support/engines'
import type { RevocationStore } from '../../types'

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

for (const name of ['redis (ioredis)', 'redis (node-redis)', 'postgresql']) {
  t.test(`${name}: of two applications with one store one closes, and the other still hears of revocations`, async (t) => {
    const engine = engineNamed(name)
    const reason = await skipReason(engine)
    if (reason !== false) return t.plan(0, reason)
    const namespace = newNamespace()
    const [ours, theirs] = [await engine.open(namespace), await engine.open(namespace)]
    t.teardown(async () => {
      await ours.close(true)
      await theirs.close(false)
    })
    let reads = 0
    const read: RevocationStore['read'] = (refs) => { reads++; return ours.store.read(refs) }
    const shared = { ...ours.store, read }
    const closing = await buildApp(t, { revocationStore: shared })
    const staying = await buildApp(t, { revocationStore: shared })
    const another = await buildApp(t, { revocationStore: theirs.store })
    const { access_token: token } = await another.client.login()
    const status = async ({ client }: TestApp) => (await client.get('/me', token)).statusCode

    for (let last = -1; last !== reads; await pause(5)) {
      last = reads
      t.equal(await status(staying), 200)
    }
    await closing.app.close()
    const before = reads
    t.equal((await another.client.post('/logout', undefined, token)).statusCode, 204)
    const start = performance.now()
    while (await status(staying) === 200 && performance.now() - start < 1000) await pause(5)
    t.equal(await status(staying), 401)
    t.equal(reads, before, 'it was told, and did not ask')
  })
}

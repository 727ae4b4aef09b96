import t from 'tap'
import { buildApp, type TestApp } from '../support/app'
import { engineNamed, newNamespace, skipReason } from '../support/engines'
import { answer, nodeOver, status, warm } from '../support/nodes'
import { newStorage, sharedStore } from '../support/shared-store'
import type { RevocationStore, SessionRecord, SessionRef } from '../../types'

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

t.test('a logout that is answered by 204 is obeyed by the node that answered it, also when the store has lost the session', async (t) => {
  const storage = newStorage()
  const node = await nodeOver(t, sharedStore(storage))
  for (const everywhere of [undefined, { everywhere: true }]) {
    const { access_token: token } = await node.client.login()
    await warm(node, token)
    storage.records.clear()
    t.equal(await status(node, token), 200, 'it is remembered')
    t.equal((await node.client.post('/logout', everywhere, token)).statusCode, 204)
    t.equal(await answer(node, token), 'SESSION_REVOKED')
  }
})

/** A shared store whose next answer can be held back. */
function heldStore () {
  const storage = newStorage()
  const store = sharedStore(storage)
  let held: Promise<void> | undefined
  async function read (refs: readonly SessionRef[]): Promise<readonly SessionRecord[]> {
    const [found, wait] = [await store.read(refs), held]
    held = undefined
    await wait
    return found
  }
  return { storage, store: { ...store, read }, hold: (until: Promise<void>) => { held = until } }
}

t.test('an answer that was under way when the store was found to have lost the session is not remembered', async (t) => {
  const { storage, store, hold } = heldStore()
  const node = await nodeOver(t, store)
  await warm(node, (await node.client.login()).access_token)
  const { access_token: token } = await node.client.login()
  let answerNow = (): void => {}
  hold(new Promise((resolve) => { answerNow = resolve }))
  const early = answer(node, token)
  await pause(20)
  storage.records.clear()
  t.equal((await node.client.post('/logout', undefined, token)).statusCode, 204)
  answerNow()
  t.equal(await early, 'SESSION_REVOKED')
  t.equal(await answer(node, token), 'SESSION_REVOKED')
})

t.test('a refresh that finds the session lost ends its access tokens on that node, too', async (t) => {
  const storage = newStorage()
  const node = await nodeOver(t, sharedStore(storage))
  const tokens = await node.client.login()
  await warm(node, tokens.access_token)
  storage.records.clear()
  t.equal((await node.client.refresh(tokens.refresh_token)).statusCode, 401)
  t.equal(await answer(node, tokens.access_token), 'SESSION_REVOKED')
})

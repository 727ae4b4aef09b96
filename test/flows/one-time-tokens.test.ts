import t from 'tap'
import { buildApp } from '../support/app'
import { stopClock } from '../support/clock'
import { reforge } from '../support/forge'
import { memoryStore } from '../../lib/stores/memory'
import type { RevocationStore } from '../../types'

const RESET = { purpose: 'password-reset', subject: 'user-alice' }
const INVALID = { code: 'FST_JWT_SESSION_TOKEN_INVALID' }

t.test('a one-time token works once, for its purpose', async (t) => {
  const { app: { jwtSession } } = await buildApp(t)
  const token = await jwtSession.issueOneTimeToken({ ...RESET, claims: { email: 'alice@example.com' } })
  await t.rejects(jwtSession.consumeOneTimeToken(token, { purpose: 'email-confirmation' }), INVALID)
  t.match(await jwtSession.consumeOneTimeToken(token, RESET), { subject: 'user-alice', claims: { email: 'alice@example.com', purpose: 'password-reset' } })
  await t.rejects(jwtSession.consumeOneTimeToken(token, RESET), INVALID)
})

t.test('of many at once, one succeeds', async (t) => {
  const { app: { jwtSession } } = await buildApp(t)
  const token = await jwtSession.issueOneTimeToken(RESET)
  const answers = await Promise.allSettled(Array.from({ length: 50 }, () => jwtSession.consumeOneTimeToken(token, RESET)))
  t.equal(answers.filter(({ status }) => status === 'fulfilled').length, 1)
})

t.test('a one-time token opens no route and renews nothing, and no other token is one', async (t) => {
  const { app: { jwtSession }, client } = await buildApp(t)
  const token = await jwtSession.issueOneTimeToken(RESET)
  const tokens = await client.login()
  t.equal((await client.get('/me', token)).code, 'TOKEN_INVALID')
  t.equal((await client.refresh(token)).code, 'REFRESH_TOKEN_INVALID')
  t.equal((await client.post('/logout', undefined, token)).code, 'TOKEN_INVALID')
  for (const other of [tokens.access_token, tokens.refresh_token, '', 'x.y.z', reforge(token, { purpose: 4 }), reforge(token, { token_use: 'access' })]) {
    await t.rejects(jwtSession.consumeOneTimeToken(other, RESET), INVALID)
  }
  await t.rejects(jwtSession.consumeOneTimeToken(undefined as never, RESET), INVALID)
  t.equal((await jwtSession.consumeOneTimeToken(token, RESET)).subject, 'user-alice', 'and all that did not use it up')
})

t.test('it expires', async (t) => {
  const clock = stopClock(t)
  const { app: { jwtSession } } = await buildApp(t)
  const token = await jwtSession.issueOneTimeToken({ ...RESET, expiresIn: '10m' })
  clock.advance(600)
  await t.rejects(jwtSession.consumeOneTimeToken(token, RESET), { code: 'FST_JWT_SESSION_TOKEN_EXPIRED' })
})

t.test('it is no session: it is not listed, does not count, and goes with revokeAll unseen', async (t) => {
  const { app: { jwtSession }, client, events } = await buildApp(t, { session: { maxPerSubject: 1 } })
  const token = await jwtSession.issueOneTimeToken(RESET)
  const { access_token: accessToken } = await client.login()
  await jwtSession.issueOneTimeToken(RESET)
  t.equal((await client.get('/me', accessToken)).statusCode, 200)
  const [session, ...more] = await jwtSession.list('user-alice')
  t.same(more, [])
  t.same(await jwtSession.revokeAll('user-alice'), [session?.id])
  await t.rejects(jwtSession.consumeOneTimeToken(token, RESET), INVALID)
  t.equal(events.filter(({ name }) => name === 'session.revoked').length, 1)
})

t.test('what cannot be a one-time token is refused', async (t) => {
  const { app: { jwtSession } } = await buildApp(t)
  const wrong: object[] = [
    { purpose: '' }, { purpose: 'a b' }, { purpose: undefined }, { subject: '' }, { expiresIn: 0 }, { expiresIn: '31d' }, { claims: { sub: 'x' } }, { claims: { password: 'x' } },
    { claims: { hash: '$2b$10$x' } }, { claims: [] }, { claims: { purpose: 'x' } }, { lifetime: 4 }
  ]
  for (const change of wrong) {
    await t.rejects(jwtSession.issueOneTimeToken({ ...RESET, ...change }), { code: 'FST_JWT_SESSION_OPTION_INVALID' }, JSON.stringify(change))
  }
})

t.test('a store that fails is told, and a write whose fate is unknown lets nobody in', async (t) => {
  const memory = memoryStore()
  let fault: 'none' | 'before' | 'after' = 'none'
  const store: RevocationStore = {
    ...memory,
    async write (record, expected) {
      if (fault === 'before') throw new Error('down')
      const isWritten = await memory.write(record, expected)
      if (fault === 'after') throw new Error('down')
      return isWritten
    }
  }
  const { app: { jwtSession } } = await buildApp(t, { revocationStore: store })
  const [one, other] = [await jwtSession.issueOneTimeToken(RESET), await jwtSession.issueOneTimeToken(RESET)]
  const unavailable = { code: 'FST_JWT_SESSION_STORE_UNAVAILABLE' }
  fault = 'before'
  await t.rejects(jwtSession.issueOneTimeToken(RESET), unavailable)
  await t.rejects(jwtSession.consumeOneTimeToken(one, RESET), unavailable)
  fault = 'after'
  await t.rejects(jwtSession.consumeOneTimeToken(other, RESET), unavailable)
  fault = 'none'
  t.ok(await jwtSession.consumeOneTimeToken(one, RESET), 'nothing was used up')
  await t.rejects(jwtSession.consumeOneTimeToken(other, RESET), INVALID)
})

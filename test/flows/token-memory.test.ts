import t from 'tap'
import { buildApp, SECRET } from '../support/app'
import { stopClock } from '../support/clock'
import { parse } from '../support/forge'

/** Shows a token so often that it is remembered, whatever chance says. */
async function acquaint (client: { get (url: string, token: string): Promise<{ statusCode: number }> }, token: string): Promise<void> {
  for (let call = 0; call < 20; call++) t.equal((await client.get('/me', token)).statusCode, 200)
}

for (const tokenMemory of [10_000, false] as const) {
  t.test(`with tokenMemory: ${tokenMemory}`, async (t) => {
    t.test('a token that passed a moment ago expires to the second', async (t) => {
      const clock = stopClock(t)
      const { client } = await buildApp(t, { tokenMemory })
      const { access_token: token } = await client.login()
      await acquaint(client, token)
      clock.advance(900)
      for (let call = 0; call < 2; call++) t.equal((await client.get('/me', token)).code, 'TOKEN_EXPIRED')
    })

    t.test('a token that passed a moment ago ends with its session', async (t) => {
      const { app, client } = await buildApp(t, { tokenMemory })
      const { access_token: token } = await client.login()
      await acquaint(client, token)
      await app.jwtSession.revokeAll('user-alice')
      t.equal((await client.get('/me', token)).code, 'SESSION_REVOKED')
    })

    t.test('a token that passed a moment ago ends with its key', async (t) => {
      const keys = [{ kid: 'old', algorithm: 'HS256', secret: SECRET }, { kid: 'new', algorithm: 'HS256', secret: SECRET.toLowerCase() }] as const
      const { app, client } = await buildApp(t, { tokenMemory, secret: undefined, keys } as never)
      const tokens = await client.login()
      await acquaint(client, tokens.access_token)
      app.jwtSession.keys.promote('new')
      t.equal((await client.get('/me', tokens.access_token)).statusCode, 200, 'another key signs, this one still verifies')
      app.jwtSession.keys.retire('old')
      t.equal((await client.get('/me', tokens.access_token)).code, 'TOKEN_INVALID')
      t.equal((await client.refresh(tokens.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    })

    t.test('users never mix, whatever is changed in a token that passed', async (t) => {
      const { client } = await buildApp(t, { tokenMemory })
      const [alice, bob] = [(await client.login()).access_token, (await client.login('bob', 'builder')).access_token]
      const [one, other] = [parse(alice).parts, parse(bob).parts]
      for (let round = 0; round < 3; round++) {
        for (const token of [alice, bob]) await acquaint(client, token)
        t.equal((await client.get('/me', alice)).json().subject, 'user-alice')
        t.equal((await client.get('/me', bob)).json().subject, 'user-bob')
        for (const parts of [[one[0], other[1], one[2]], [one[0], one[1], other[2]], [one[0], one[1], one[2].slice(0, 20) + other[2].slice(20)], [one[0], one[1], '', one[2]]]) {
          t.equal((await client.get('/me', parts.join('.'))).code, 'TOKEN_INVALID')
        }
      }
    })

    t.test('what a handler does to request.auth is not seen by the next request', async (t) => {
      const { app, client } = await buildApp(t, { tokenMemory })
      const attempts: string[] = []
      app.addHook('preHandler', async (request) => {
        if (request.auth === null) return
        const { auth } = request
        for (const change of [
          () => { (auth as { subject: string }).subject = 'user-bob' },
          () => { (auth.claims.roles as string[]).push('root') },
          () => { (auth.claims as { sub: string }).sub = 'user-bob' },
          () => { (auth.header as { alg: string }).alg = 'none' },
          () => { Object.assign(auth, { extra: true }) }
        ]) {
          try {
            change()
            attempts.push('changed')
          } catch (error) {
            attempts.push((error as Error).name)
          }
        }
      })
      const { access_token: token } = await client.login()
      await acquaint(client, token)
      const answers = [await client.get('/me', token), await client.get('/me', token)]
      t.same(answers[1]?.json(), answers[0]?.json())
      t.match(answers[1]?.json(), { subject: 'user-alice', claims: { roles: ['admin', 'editor'], sub: 'user-alice' }, header: { alg: 'HS256' } })
      t.same(new Set(attempts), new Set(['TypeError']))
    })

    t.test('the place of a token is that of the request', async (t) => {
      const { app, client } = await buildApp(t, { tokenMemory })
      const { access_token: token } = await client.login()
      await acquaint(client, token)
      t.equal((await client.get('/me', token)).json().source, 'header')
      t.equal((await app.jwtSession.verify(token)).source, null)
      t.equal((await client.get('/me', token)).json().source, 'header')
    })
  })
}

t.test('without a number that makes sense, registration is refused', async (t) => {
  for (const tokenMemory of [0, -1, 1.5, 1_000_001, true, '10']) {
    await t.rejects(buildApp(t, { tokenMemory } as never), { code: 'FST_JWT_SESSION_OPTION_INVALID', message: 'tokenMemory' })
  }
})

// It goes on with the list of hostile.test.ts, whose ids are those of the statements that it holds true.
import t from 'tap'
import type { TokenAnswer } from '../../lib'
import { buildApp } from '../support/app'
import { stopClock } from '../support/clock'
import { parse } from '../support/forge'
import { optionsOf } from '../support/readme'

const DAY = 86_400

t.test('I7: by default a session ends after 30 days, however often it is refreshed', async (t) => {
  const clock = stopClock(t)
  const { client } = await buildApp(t)
  let tokens = await client.login()
  const start = clock.now()
  for (let day = 0; day < 29; day++) {
    clock.advance(DAY)
    tokens = (await client.refresh(tokens.refresh_token)).json() as TokenAnswer
    for (const token of [tokens.access_token, tokens.refresh_token]) t.ok(Number(parse(token).claims.exp) <= start + 30 * DAY, `${day}`)
  }
  clock.advance(DAY - 1)
  tokens = (await client.refresh(tokens.refresh_token)).json() as TokenAnswer
  t.equal((await client.get('/me', tokens.access_token)).statusCode, 200)
  clock.advance(1)
  t.equal((await client.get('/me', tokens.access_token)).statusCode, 401)
  t.equal((await client.refresh(tokens.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
})

t.test('I8: how long a session may idle, and how long it may last, are two options, and documented', async (t) => {
  for (const name of ['session.idleTimeout', 'session.absoluteTimeout']) t.ok(optionsOf().includes(name), name)
  const clock = stopClock(t)
  const { client } = await buildApp(t, { session: { idleTimeout: '30m', absoluteTimeout: '12h' } })
  const [idle, busy] = [await client.login(), await client.login()]
  let idler = await client.login()
  let token = busy.refresh_token
  for (let time = 0; time < 12 * 60 - 20; time += 20) {
    clock.advance(20 * 60)
    const answer = await client.refresh(token)
    t.equal(answer.statusCode, 200, `${time}`)
    token = (answer.json() as TokenAnswer).refresh_token
    if (time === 20) t.equal((await client.refresh(idle.refresh_token)).code, 'REFRESH_TOKEN_INVALID', 'who idles is out')
    if (time === 0) idler = (await client.refresh(idler.refresh_token)).json() as TokenAnswer
    if (time === 40) t.equal((await client.refresh(idler.refresh_token)).code, 'REFRESH_TOKEN_INVALID', 'also after a refresh')
  }
  clock.advance(20 * 60)
  t.equal((await client.refresh(token)).code, 'REFRESH_TOKEN_INVALID', 'who does not is out in the end')
})

t.test('I9: how many sessions a subject may have is an option, and documented; parallel logins do not get around it', async (t) => {
  t.ok(optionsOf().includes('session.maxPerSubject'))
  const { app, client } = await buildApp(t, { session: { maxPerSubject: 3 } })
  const bob = await client.login('bob', 'builder')
  const one = await client.login()
  for (let count = 0; count < 2; count++) await client.login()
  t.equal((await client.get('/me', one.access_token)).statusCode, 200, 'three are allowed')
  for (let round = 0; round < 3; round++) {
    await Promise.all(Array.from({ length: 10 }, async () => await client.login()))
    t.equal((await app.jwtSession.list('user-alice')).length, 3)
  }
  const last = await client.login()
  t.equal((await client.get('/me', one.access_token)).code, 'SESSION_REVOKED', 'the oldest has ended')
  t.equal((await client.refresh(one.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
  for (const { access_token: token } of [last, bob]) t.equal((await client.get('/me', token)).statusCode, 200)
})

t.test('I10: auth_time is that of the login, also after refreshes, and routes can require a recent one', async (t) => {
  const clock = stopClock(t)
  const { client } = await buildApp(t)
  let tokens = await client.login()
  const time = Math.floor(clock.now())
  for (let count = 0; count < 4; count++) {
    t.equal(parse(tokens.access_token).claims.auth_time, time)
    t.equal((await client.get('/recent', tokens.access_token)).statusCode, 200)
    clock.advance(149)
    tokens = (await client.refresh(tokens.refresh_token)).json() as TokenAnswer
  }
  t.equal((await client.get('/recent', tokens.access_token)).statusCode, 200, 'ten minutes are not over yet')
  clock.advance(5)
  tokens = (await client.refresh(tokens.refresh_token)).json() as TokenAnswer
  t.equal(parse(tokens.access_token).claims.auth_time, time)
  t.match(await client.get('/recent', tokens.access_token), { statusCode: 401, code: 'REAUTHENTICATION_REQUIRED' })
  t.equal((await client.get('/me', tokens.access_token)).statusCode, 200)
  t.equal((await client.get('/recent', (await client.login()).access_token)).statusCode, 200, 'who logs in again is let in')
})

// Longer than other files: it is one list.
import type { KeyObject } from 'node:crypto'
import net from 'node:net'
import t, { type Test } from 'tap'
import type { KeyAlgorithm, SessionRef, TokenAnswer } from '../../lib'
import { faultsOf, leaksIn } from '../support/conduct'
import { forgeBy, parse } from '../support/forge'
import { forgeriesOf, ODD, type Forgeries } from '../support/forgeries'
import { makeKey } from '../support/keys'
import { ODD_REQUESTS, oddLines } from '../support/odd-requests'
import { ACCESS, carriersOf, JSON_TYPE, OWN, refreshCarriersOf, refreshOf, refuses, targetOf, tokensOf, type Carrier, type Target, type Travel } from './target'
import type { Heard } from '../support/wire'

/** Every attack, for one way in which tokens travel. */
export function attack (travel: Travel, algorithms: readonly KeyAlgorithm[]): void {
  t.setTimeout(180_000)
  for (const algorithm of algorithms) {
    t.test(`${algorithm}, tokens in ${travel === 'both' ? 'header and cookie' : `the ${travel}`}`, async (t) => {
      const target = await targetOf(t, travel, makeKey(algorithm, `${algorithm}-1`))
      const good = await target.open()
      const after = async (name: string, test: (t: Test) => Promise<void>): Promise<void> => {
        await t.test(name, async (t) => {
          await test(t)
          t.ok(await target.isAlive(good), 'the session of somebody else goes on')
          // Fastify logs whole, as a list of bytes, what Node cannot read; no plugin sees that.
          const lines = target.lines.splice(0).filter((line) => !line.includes('"rawPacket"') || !line.includes('"msg":"client error"'))
          t.equal(leaksIn(lines.join('\n'), target.secrets), undefined, 'no line of the log holds a token, a key or a password')
        })
      }
      await after('no forged, confused or malformed access token is accepted', async (t) => await forgedAccess(t, target, good))
      await after('no forged, confused or malformed refresh token is accepted, and none ends a session', async (t) => await forgedRefresh(t, target, good))
      await after('what is oversized is refused', async (t) => await oversized(t, target, good))
      await after('bodies of every kind to every route are refused', async (t) => await hostileBodies(t, target, good))
      await after('requests that are no HTTP, or nearly so, are refused, and keep nobody waiting', async (t) => await rawRequests(t, target, good))
      await after('what was ended or used up is refused, whoever sends it again', async (t) => await replayed(t, target))
      await after('requests that race leave one chain, and none after a logout', async (t) => await raced(t, target))
      await after('guesses are refused, one by one and at once', async (t) => await guessed(t, target))
    })
  }
}

function forgeriesFor ({ key }: Target, token: string): Forgeries {
  return forgeriesOf(token, { algorithm: key.option.algorithm, signs: key.signs, publicKey: key.publicKey }, STRANGER)
}

const STRANGER = makeKey('RS256', 'stranger').publicKey as KeyObject

async function forgedAccess (t: Test, target: Target, good: TokenAnswer): Promise<void> {
  const sound = await target.open()
  const carriers = carriersOf(target.travel, sound.access_token)
  const bob = await target.open('bob')
  // It gives its key the same name.
  const { option, ...pair } = makeKey(target.key.option.algorithm, 'foreign')
  const foreign = await targetOf(t, target.travel, { option: { ...option, kid: target.key.option.kid }, ...pair })
  const strange = await foreign.open()
  for (const [name, texts] of Object.entries(forgeriesFor(target, good.access_token))) {
    await t.test(name, async (t) => await refuses(t, target, texts, carriers, ['GET', '/me']))
  }
  await t.test('tokens of another kind, of another application, and of two users together', async (t) => {
    const [one, two] = [parse(good.access_token).parts, parse(bob.access_token).parts]
    const confused = [good.refresh_token, bob.refresh_token, strange.access_token, strange.refresh_token, [one[0], two[1], one[2]].join('.'), [one[0], one[1], two[2]].join('.'), [...one, ...two].join('.')]
    await refuses(t, target, confused, carriers, ['GET', '/me'])
    for (const path of ['/maybe', '/admin', '/fresh', '/sessions']) await refuses(t, target, confused, carriers, ['GET', path])
    await refuses(t, target, [...confused, ...forgeriesFor(target, good.access_token).headers], carriers, ['POST', '/logout'])
  })
}

async function forgedRefresh (t: Test, target: Target, good: TokenAnswer): Promise<void> {
  const carriers = refreshCarriersOf(target.travel)
  for (const [name, texts] of Object.entries(forgeriesFor(target, good.refresh_token))) {
    await t.test(name, async (t) => await refuses(t, target, texts, carriers, ['POST', '/refresh']))
  }
  await t.test('tokens of another kind', async (t) => {
    await refuses(t, target, [good.access_token, ...forgeriesFor(target, good.refresh_token).algorithms], carriers, ['POST', '/logout'])
    await refuses(t, target, [good.access_token], carriers, ['POST', '/refresh'])
  })
  t.equal((await refreshOf(target, good)).status, 200, 'and the token that all of them were made from is still good')
}

async function oversized (t: Test, target: Target, good: TokenAnswer): Promise<void> {
  const [head, payload, signature] = parse(good.access_token).parts
  const texts = [8192, 8193, 10_000, 12_000].flatMap((size) => [
    'A'.repeat(size), `${'A'.repeat(size)}!`, '.'.repeat(size), 'A.'.repeat(size / 2), '='.repeat(size), '-'.repeat(size), '"'.repeat(size), good.access_token.padEnd(size, 'A'), `${head}.${'A'.repeat(size)}.${signature}`,
    `${head}.${payload}.${'A'.repeat(size)}`, `${'A'.repeat(size)}.${payload}.${signature}`
  ])
  await refuses(t, target, texts, carriersOf(target.travel), ['GET', '/me'])
  await refuses(t, target, texts, refreshCarriersOf(target.travel), ['POST', '/refresh'], [400, 401, 413])
  await refuses(t, target, [20_000, 60_000].map((size) => 'A'.repeat(size)), carriersOf(target.travel), ['GET', '/me'], [431])
  const many = Array.from({ length: 500 }, (_, index) => `c${index}=x`).join('; ')
  const crowded = await target.send('GET', '/me', { cookie: many })
  t.same([crowded.status, faultsOf(crowded, target.secrets)], [401, []])

  const deep = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`
  for (const path of ['/login', '/refresh', '/logout', '/register']) {
    for (const body of [`{"password":"${'x'.repeat(20_000)}"}`, `{"x":${deep(7000)}}`, deep(8000), '{"a":'.repeat(3000), `{"refresh_token":"${'.'.repeat(9000)}"}`]) {
      const answer = await target.send('POST', path, { ...OWN, ...JSON_TYPE }, body)
      t.same([faultsOf(answer, target.secrets), [400, 401, 413].includes(answer.status)], [[], true], `${path} ${body.length} ${answer.status}`)
    }
    // The answer comes before the rest of the body is sent.
    for (const length of ['Content-Length: 3000000', 'Transfer-Encoding: chunked']) {
      const answer = await target.raw(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${length}\r\nConnection: close\r\n\r\n4e20\r\n${'['.repeat(20_000)}\r\n`)
      t.same([answer.status, faultsOf(answer, target.secrets)], [413, []], `${path} ${length}`)
    }
  }
}

/** Whatever is no body, or not the one that a route takes. */
function bodiesFor (sound: Readonly<Record<string, unknown>>): (string | Buffer)[] {
  const text = JSON.stringify(sound)
  const wrong = (value: unknown): unknown[] => [...ODD, { $ne: null }, { $gt: '' }, [value], { toString: value }].filter((other) => typeof other !== typeof value || other === '')
  const replaced = Object.entries(sound).flatMap(([name, value]) => wrong(value).map((other) => JSON.stringify({ ...sound, [name]: other })))
  const members = ['"__proto__":{"polluted":1}', '"__proto__":null', '"x":{"__proto__":{"polluted":1}}', '"constructor":{"prototype":{"polluted":1}}', '"\\u005f_proto__":{"polluted":1}']
  return [
    ' ', '{', '}', '[]', 'true', '0', '"x"', 'undefined', 'NaN', `[${text}]`, `${text}x`, `${text}${text}`, text.slice(0, -1), JSON.stringify(text), text.replace(/}$/, ',}'), text.replaceAll('"', "'"), `/**/${text}`, '\0',
    new URLSearchParams(sound as Record<string, string>).toString(), Buffer.from(text, 'utf16le'), Buffer.from([0xff, 0xfe, 0x00]), Buffer.from([0x1f, 0x8b, 0x08]), Buffer.from(text.replace(/:"/, ':"\xff'), 'latin1'),
    ...replaced, ...members.map((member) => text.replace('{', `{${member},`))
  ]
}

async function hostileBodies (t: Test, target: Target, good: TokenAnswer): Promise<void> {
  const sound: Record<string, Record<string, unknown>> = {
    '/login': { username: 'nobody', password: 'hunter2hunter2' },
    '/register': { username: 'alice', password: 'chocolate-cake' },
    '/refresh': { refresh_token: good.refresh_token },
    '/logout': { refresh_token: good.refresh_token, everywhere: true }
  }
  const types = ['', 'text/plain', 'text/html', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/xml', 'text/plain; application/json', 'application/jsonx', '__proto__']
  for (const [path, members] of Object.entries(sound)) {
    const probes = [
      ...bodiesFor(members).map((body) => ({ body, type: 'application/json' })), ...types.map((type) => ({ body: JSON.stringify(members), type })),
      ...['application/json;', 'application/json; charset=utf-16', 'application/json, text/plain'].map((type) => ({ body: '{"username":["alice"]}', type }))
    ]
    const faults = await Promise.all(probes.map(async ({ body, type }) => {
      const answer = await target.send('POST', path, { ...OWN, ...(type === '' ? {} : { 'content-type': type }) }, body)
      const found = faultsOf(answer, target.secrets)
      if (![400, 401, 413, 415].includes(answer.status)) found.push(`status ${answer.status}`)
      return found.map((fault) => `${type} ${String(body)}: ${fault}`)
    }))
    t.same(faults.flat(), [], path)
  }
  t.equal(({} as { polluted?: unknown }).polluted, undefined)
}

async function rawRequests (t: Test, target: Target, good: TokenAnswer): Promise<void> {
  const lines = {
    header: oddLines('Authorization', 'Bearer ', good.access_token), cookie: oddLines('Cookie', `${ACCESS}=`, good.access_token)
  }
  const texts = [
    ...ODD_REQUESTS,
    ...(target.travel === 'both' ? [...lines.header, ...lines.cookie] : lines[target.travel]).map((line) => `GET /me HTTP/1.1\r\nHost: x\r\n${line}\r\nConnection: close\r\n\r\n`),
    ...['Content-Length: 5\r\nContent-Length: 6', 'Content-Length: 5\r\nTransfer-Encoding: chunked', 'Transfer-Encoding: chunked, chunked', 'Transfer-Encoding: xchunked', 'Transfer-Encoding : chunked', 'Content-Length: +5', 'Content-Length: 0x5', 'Content-Length: 5, 5']
      .map((line) => `POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${line}\r\nConnection: close\r\n\r\n0\r\n\r\nGET /me HTTP/1.1\r\n\r\n`),
    ...['//me', '/%6De/', '/me%00', '/me%2f', '/./me', '/me/..', '/../me', '/me;a=b', '/\\me', '/%', '/me%c0%80', 'me', '*', 'http://x/me', '/sessions/%2e%2e', '/sessions/__proto__', `/sessions/${'x'.repeat(200)}`]
      .map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
  ]
  // They stay open all the while, and nobody waits for them.
  const idle = Array.from({ length: 20 }, (_, index) => {
    const socket = net.connect(target.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(`POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 200\r\n${index % 2 === 0 ? '\r\n{"username":"alice",' : 'X-Half'}`)
    return socket
  })
  const faults = await Promise.all(texts.map(async (text) => {
    const answer = await target.raw(text, 10_000)
    // No answer is a connection that was closed without a word; 505 is what Node says to a version that it does not speak.
    if (answer.status === 0 || answer.status === 505) return []
    // Node itself refuses without a body, in chunks or not.
    const isEmpty = /^(?:0\s*)?$/.test(answer.body) && answer.headers['content-type'] === undefined
    const found = isEmpty ? [] : faultsOf({ ...answer, body: answer.body.split(/(?<=})HTTP/)[0] as string }, target.secrets)
    if (answer.status < 400) found.push(`status ${answer.status}`)
    if (answer.headers['x-injected'] !== undefined || /user-alice/.test(answer.body)) found.push('is answered')
    return found.map((fault) => `${fault}: ${JSON.stringify(text.slice(0, 200))}`)
  }))
  t.same(faults.flat(), [])
  t.ok(await target.isAlive(good), 'others are served meanwhile')
  for (const socket of idle) socket.destroy()
}

async function replayed (t: Test, target: Target): Promise<void> {
  const refusedWith = async (tokens: TokenAnswer): Promise<unknown[]> => {
    const access = await target.send('GET', '/me', (carriersOf(target.travel)[0] as Carrier).load(tokens.access_token).headers)
    const refresh = await refreshOf(target, tokens)
    return [access.status, refresh.status, ...[access, refresh].flatMap((answer) => faultsOf(answer, target.secrets))]
  }
  const first = await target.open()
  target.clock.advance(60)
  const second = tokensOf(await refreshOf(target, first))
  // Where a repetition is tolerated, it is as long as nobody has used what the first brought.
  t.ok(await target.isAlive(second))
  target.clock.advance(60)
  t.equal((await refreshOf(target, first)).status, 401, 'a refresh token that was used')
  for (const tokens of [first, second]) t.same(await refusedWith(tokens), [401, 401], 'and its whole family')

  for (const logout of ['access', 'refresh'] as const) {
    const tokens = await target.open()
    const carrier = logout === 'access' ? carriersOf(target.travel)[0] : refreshCarriersOf(target.travel)[0]
    const { headers, body } = (carrier as Carrier).load(logout === 'access' ? tokens.access_token : tokens.refresh_token)
    for (let count = 0; count < 3; count++) t.equal((await target.send('POST', '/logout', headers, body)).status, 204)
    t.same(await refusedWith(tokens), [401, 401], `after a logout by its ${logout} token`)
    await target.open()
    t.same(await refusedWith(tokens), [401, 401], 'and after another login')
    const { iat } = parse((await target.open()).access_token).claims
    const [access, refresh] = [tokens.access_token, tokens.refresh_token].map((token) => {
      const { header, claims } = parse(token)
      return forgeBy(target.key.option.algorithm, target.key.signs, header, { ...claims, iat, extra: true })
    }) as [string, string]
    t.same(await refusedWith({ ...tokens, access_token: access, refresh_token: refresh }), [401, 401], 'also when it is signed anew')
  }
  const expired = await target.open()
  target.clock.advance(7 * 86_400)
  t.same(await refusedWith(expired), [401, 401], 'what has expired')
  target.clock.advance(-7 * 86_400)
}

async function raced (t: Test, target: Target): Promise<void> {
  const parallel = async (count: number, act: (index: number) => Promise<Heard>): Promise<Heard[]> => await Promise.all(Array.from({ length: count }, async (_, index) => await act(index)))
  const ids = async (): Promise<string[]> => (await target.app.jwtSession.list('user-alice')).map(({ id }) => id)
  const idOf = (tokens: TokenAnswer): SessionRef => ({ id: String(parse(tokens.access_token).claims.sid), subject: 'user-alice' })

  const tokens = await target.open()
  const before = await ids()
  target.clock.advance(60)
  const renewed = await parallel(50, async () => await refreshOf(target, tokens))
  t.same(renewed.filter(({ status }) => status !== 200).flatMap((answer) => answer.status === 401 ? faultsOf(answer, target.secrets) : [`${answer.status}`]), [])
  const successors = new Set(renewed.filter(({ status }) => status === 200).map((answer) => tokensOf(answer).refresh_token))
  const texts = new Set(Array.from(successors, (token) => parse(token).parts[1]))
  t.equal(texts.size, 1, 'fifty refreshes at once have one successor')
  t.ok((await ids()).length <= before.length, 'and no further session')

  for (let round = 0; round < 6; round++) {
    const victim = await target.open()
    target.clock.advance(60)
    const carrier = (round % 2 === 0 ? carriersOf(target.travel) : refreshCarriersOf(target.travel))[0] as Carrier
    const { headers, body } = carrier.load(round % 2 === 0 ? victim.access_token : victim.refresh_token)
    const answers = await parallel(12, async (index) => index === round ? await target.send('POST', '/logout', headers, body) : index % 3 === 0 ? await refreshOf(target, victim) : await target.send('GET', '/me', (carriersOf(target.travel)[0] as Carrier).load(victim.access_token).headers))
    t.equal(answers[round]?.status, 204)
    t.same(answers.filter(({ status }) => ![200, 204, 401].includes(status)), [])
    t.notOk((await ids()).includes(idOf(victim).id), 'nothing is alive after the logout')
    for (const answer of answers.filter(({ status, body }) => status === 200 && !body.includes('"subject"'))) t.notOk(await target.isAlive(tokensOf(answer)), 'nor what was renewed meanwhile')
  }

  const victim = await target.open()
  const { headers } = (carriersOf(target.travel)[0] as Carrier).load(victim.access_token)
  const logouts = await parallel(20, async () => await target.send('POST', '/logout', headers))
  t.same(new Set(logouts.map(({ status }) => status)), new Set([204]), 'twenty logouts at once are one')
}

async function guessed (t: Test, target: Target): Promise<void> {
  const login = async (username: string, password: string): Promise<Heard> => await target.send('POST', '/login', { ...OWN, ...JSON_TYPE }, JSON.stringify({ username, password }))
  const names = ['nobody', '__proto__', 'constructor', 'then', 'Bob', ' bob', 'bob ', 'bob\u200b', 'ｂｏｂ', "bob' --", '*', 'user-bob']
  const strangers = await Promise.all(names.map(async (name) => await login(name, 'builder')))
  t.same(strangers.flatMap((answer) => [...faultsOf(answer, target.secrets), ...(answer.status === 401 ? [] : [`status ${answer.status}`])]), [])
  t.equal(new Set(strangers.map(({ body }) => body)).size, 1)

  const spoilt = await Promise.all(['builder ', 'Builder', 'builde', 'builder1', ' builder', 'hunter2hunter2', 'builde\u0072\u0301'].map(async (password) => await login('bob', password)))
  t.same(spoilt.flatMap((answer) => [...faultsOf(answer, target.secrets), ...(answer.status === 401 ? [] : [`status ${answer.status}`])]), [])
  t.equal((await login('bob', 'builder\0')).status, 400)

  const flood = await Promise.all(Array.from({ length: 60 }, async (_, index) => await login('alice', `hunter2hunter2 ${index}`)))
  t.same(flood.flatMap((answer) => faultsOf(answer, target.secrets)), [])
  t.equal(flood.filter(({ status }) => status === 401).length, 20, 'the budget of an account, though they come at once')
  t.equal(flood.filter(({ status }) => status === 429).length, 40)
  const locked = await login('alice', 'wonderland')
  t.same([locked.status, faultsOf(locked, target.secrets)], [429, []])

  const right = await login('bob', 'builder')
  t.equal(right.status, 200, 'others log in')
  target.secrets.push(...[tokensOf(right).access_token, tokensOf(right).refresh_token].flatMap((token) => parse(token).parts.slice(1)))
  const made = await target.send('POST', '/register', { ...OWN, ...JSON_TYPE }, JSON.stringify({ username: 'carol', password: 'chocolate-cake', id: 'user-alice', roles: ['admin'] }))
  t.match(parse(tokensOf(made).access_token).claims, { sub: 'user-carol', roles: [] })
  t.equal((await target.send('POST', '/register', { ...OWN, ...JSON_TYPE }, JSON.stringify({ username: 'alice', password: 'chocolate-cake' }))).status, 409)
}

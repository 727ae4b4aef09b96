import { randomBytes } from 'node:crypto'
import { Pool } from 'pg'
import t from 'tap'
import { conformanceTests } from '../lib/conformance'
import { engineNamed, skipReason } from './support/engines'
import { clientOf, paste, run, runWith, skipPasting } from './support/program'
import { freePort } from './support/proxy'
import { blockWith } from './support/readme'

// Every program starts in a process of its own, on machines that may be slow.
t.setTimeout(180_000)

const DATABASE_URL = process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/test'

/** The first groups of all matches. */
const all = (output: string, pattern: RegExp) => Array.from(output.matchAll(pattern), ([, found]) => found as string)

t.test('a logout at one of three nodes is obeyed by all', async (t) => {
  const skip = await skipReason(engineNamed('redis (ioredis)'))
  await t.test('with Redis', { skip }, async (t) => {
    const { code, output } = await run(t, 'examples/nodes.ts').ended()
    t.equal(code, 0, output)
    t.same(all(output, /(?:answers|A logout at node 2:) (\d+)/g), ['200', '200', '200', '204', '401', '401', '401'])
    t.equal(all(output, /(SESSION_REVOKED)/g).length, 3)
    t.equal(new Set(all(output, /"node":(\d+)/g)).size, 3, 'three processes')
  })

  await t.test('without Redis, the example says so and ends', async (t) => {
    const { code, output } = await runWith(t, { REDIS_URL: `redis://127.0.0.1:${await freePort()}` }, 'examples/nodes.ts').ended()
    t.equal(code, 1)
    t.match(output, 'No Redis at REDIS_URL')
  })
})

t.test('users and sessions in PostgreSQL', async (t) => {
  const skip = await skipReason(engineNamed('postgresql'))
  await t.test('outlive a restart', { skip }, async (t) => {
    const schema = `examples_${randomBytes(6).toString('hex')}`
    const pool = new Pool({ connectionString: DATABASE_URL })
    await pool.query(`create schema ${schema}`)
    t.teardown(async () => { await pool.query(`drop schema ${schema} cascade`); await pool.end() })
    const url = new URL(DATABASE_URL)
    url.searchParams.set('options', `-c search_path=${schema}`)
    const env = { DATABASE_URL: url.href, JWT_SECRET: randomBytes(32).toString('base64') }

    const first = runWith(t, env, 'examples/postgres.ts')
    const [guide, address] = await first.printed(/Listening at (\S+),[^]*access_token[^]*\n$/) as [string, string]
    if (skipPasting === false) {
      const { code, statuses, output } = await paste(guide)
      t.equal(code, 0)
      t.same(statuses, ['200'], 'the lines that it prints work when they are pasted')
      t.match(output, '"current":true')
    } else {
      await clientOf(address).register('carol', 'correct horse')
    }
    t.match(await clientOf(address).register('CAROL', 'correct horse'), { status: 409, code: 'USERNAME_TAKEN' })
    const { access_token: token, refresh_token: refreshToken } = (await clientOf(address).login('Carol', 'correct horse')).body
    t.equal(await first.stop('SIGTERM'), 0)

    const second = runWith(t, env, 'examples/postgres.ts')
    const client = clientOf((await second.printed(/Listening at (\S+),/))[1] as string)
    t.match(await client.get('/me', token), { status: 200, body: { username: 'carol' } })
    t.equal((await client.refresh(refreshToken)).status, 200)
    t.equal((await client.logout(token)).status, 204)
    t.equal((await client.get('/me', token)).code, 'SESSION_REVOKED')
    t.equal(await second.stop('SIGTERM'), 0)
  })

  await t.test('without PostgreSQL, the example says so and ends', async (t) => {
    const { code, output } = await runWith(t, { DATABASE_URL: `postgres://a@127.0.0.1:${await freePort()}/a` }, 'examples/postgres.ts').ended()
    t.equal(code, 1)
    t.match(output, /It could not start: .*ECONNREFUSED/)
  })
})

t.test('the store that was written from the README keeps every promise of the kit', async (t) => {
  const { code, output } = await run(t, 'examples/custom-store.ts').ended()
  t.equal(code, 0, output)
  const proofs = conformanceTests({ open: () => { throw new Error('not opened here') }, watch: false, prune: false }).map(({ name }) => name)
  t.same(all(output, /^ok {6}(.+)$/gm), proofs)
  t.match(output, 'The store keeps every promise.')
})

t.test('the store of the README keeps every promise of the kit', async (t) => {
  const directory = t.testdir({
    'program.ts': `${blockWith('ts', 'function mapStore')}
      import { conformanceTests } from 'fastify-jwt-session/conformance'
      const store = mapStore()
      async function main () {
        for (const { run } of conformanceTests({ open: () => store, watch: false, prune: false })) await run()
        console.log('proven')
      }
      main()
    `
  })
  const { output } = await run(t, `${directory}/program.ts`).ended()
  t.match(output, /^proven$/m)
})

t.test('a resource server honours the tokens of the issuer by its public keys', async (t) => {
  const { code, output } = await run(t, 'examples/resource-server.ts').ended()
  t.equal(code, 0, output)
  t.same(all(output, /^ {2}(\d+) /gm), ['200', '401', '200', '403', '401', '204', '401', '200'])
  t.same(all(output, /FST_JWT_SESSION_(\w+)/g), ['TOKEN_MISSING', 'CLAIMS_INSUFFICIENT', 'TOKEN_INVALID', 'SESSION_REVOKED'])
  t.match(output, '"alg":"ES256"')
  t.notMatch(output, /"d":/, 'no private key')
})

t.test('metrics tell of logins, refreshes, refusals, the store and the memory', async (t) => {
  const example = run(t, 'examples/metrics.ts')
  const [guide, address] = await example.printed(/Listening at (\S+) [^]*what became of it[^]*\n$/) as [string, string]
  const client = clientOf(address)
  async function metrics (): Promise<Map<string, number>> {
    const text = await (await fetch(`${address}/metrics`)).text()
    return new Map(Array.from(text.matchAll(/^jwt_session_(\S+) (\S+)$/gm), ([, name, value]) => [name as string, Number(value)]))
  }
  const before = await metrics()
  t.equal(before.get('reuses_total'), 0)
  t.notOk([...before.keys()].some((name) => name.startsWith('store_call_seconds_count')))

  const first = (await client.login('alice', 'wonderland')).body
  t.equal((await client.login('alice', 'looking glass')).code, 'INVALID_CREDENTIALS')
  // As often as it takes until the token is remembered, whatever chance says.
  for (let call = 0; call < 20; call++) t.equal((await client.get('/me', first.access_token)).status, 200)
  t.equal((await client.get('/me')).code, 'TOKEN_MISSING')
  const remembering = await metrics()
  t.same(['session', 'token'].map((kind) => remembering.get(`remembered{kind="${kind}"}`)), [1, 1])
  t.equal(remembering.get('revocations_trusted'), 1)

  t.equal((await client.refresh(first.refresh_token)).status, 200)
  t.equal((await client.refresh(first.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
  t.equal((await client.refresh('x')).code, 'REFRESH_TOKEN_INVALID')
  const after = await metrics()
  t.match(Object.fromEntries(after), {
    'logins_total{outcome="succeeded"}': 1,
    'logins_total{outcome="failed"}': 1,
    'refreshes_total{outcome="succeeded"}': 1,
    'refreshes_total{outcome="reused"}': 1,
    'refreshes_total{outcome="malformed"}': 1,
    reuses_total: 1,
    'refusals_total{code="FST_JWT_SESSION_INVALID_CREDENTIALS"}': 1,
    'refusals_total{code="FST_JWT_SESSION_TOKEN_MISSING"}': 1,
    'refusals_total{code="FST_JWT_SESSION_REFRESH_TOKEN_INVALID"}': 2,
    'remembered{kind="session"}': 0
  })
  for (const operation of ['read', 'write']) t.ok(after.get(`store_call_seconds_count{operation="${operation}",outcome="answered"}`), operation)

  await t.test('the lines that it prints work when they are pasted', { skip: skipPasting }, async (t) => {
    const { code, statuses, output } = await paste(guide)
    t.equal(code, 0)
    t.same(statuses, ['200', '401', '401', '200'])
    t.match(output, 'jwt_session_logins_total{outcome="succeeded"} 2')
  })
  t.equal(await example.stop('SIGTERM'), 0)
})

t.test('a sensitive route leads to a login, and to nothing else', async (t) => {
  const { code, output } = await run(t, 'examples/step-up.ts').ended()
  t.equal(code, 0, output)
  const later = output.slice(output.indexOf('Four seconds later'))
  t.same(all(later, /^(\w+ \/\w+: \d+)/gm), [
    'GET /me: 200', 'POST /refresh: 200', 'POST /email: 401', 'POST /login: 200', 'POST /logout: 204', 'POST /email: 200'
  ])
  t.match(later, 'error="insufficient_user_authentication", max_age=3')
})

t.test('a login by @fastify/oauth2 ends in a session in cookies', async (t) => {
  const example = run(t, 'examples/oauth-callback.ts')
  const [, address] = await example.printed(/Listening at (\S+)/) as [string, string]

  const cookies = new Map<string, string>()
  async function visit (url: string, request: RequestInit = {}): Promise<Response> {
    const cookie = Array.from(cookies, ([name, value]) => `${name}=${value}`).join('; ')
    const headers = url.startsWith(address) ? { cookie, 'sec-fetch-site': 'same-origin' } : {}
    const answer = await fetch(url, { ...request, headers, redirect: 'manual' })
    for (const header of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(header) ?? []
      if (value === '') cookies.delete(name)
      else cookies.set(name, value)
    }
    return answer
  }
  const target = (answer: Response) => answer.headers.get('location') as string

  t.match(await (await visit(address)).text(), 'Log in')
  const provider = target(await visit(`${address}/login`))
  t.match(provider, 'code_challenge_method=S256')
  const callback = target(await visit(provider))

  t.equal((await fetch(callback)).status, 400, 'another browser cannot use this login')
  const forged = new URL(callback)
  forged.searchParams.set('state', 'forged')
  const kept = new Map(cookies)
  t.equal((await visit(forged.href)).status, 400, 'a forged state')
  t.notOk(cookies.has('access_token'))
  for (const [name, value] of kept) cookies.set(name, value)

  const entered = await visit(callback)
  t.equal(entered.status, 302)
  t.equal(target(entered), '/')
  t.match(await (await visit(address)).text(), 'You are provider')
  for (const [name, value] of kept) cookies.set(name, value)
  t.equal((await visit(callback)).status, 400, 'a code that was used')

  t.equal((await visit(`${address}/logout`, { method: 'POST' })).status, 204)
  t.match(await (await visit(address)).text(), 'Log in')
  t.equal(await example.stop('SIGTERM'), 0)
})

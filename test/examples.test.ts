import { join } from 'node:path'
import vm from 'node:vm'
import t from 'tap'
import { clientOf, paste, run, runWith, skipPasting } from './support/program'
import { blocks, blockWith } from './support/readme'
import { faultsOf, surroundings } from './support/surroundings'

// Every program starts in a process of its own, on machines that may be slow.
t.setTimeout(180_000)

t.test('the minimal example', async (t) => {
  const example = run(t, 'examples/minimal.ts')
  const [guide, address] = await example.printed(/Listening at (\S+) [^]*log out[^]*\n$/) as [string, string]
  const client = clientOf(address)
  const [alice, bob] = Array.from(guide.matchAll(/^ +(\w+) \/ (\w+), /gm), ([, username, password]) => [username, password])

  await t.test('login, guarded routes, refresh, reuse, login, logout', async (t) => {
    t.equal((await client.get('/')).status, 200, 'the public route')
    t.equal((await client.get('/me')).code, 'TOKEN_MISSING')

    const first = (await client.login(...alice as [string, string])).body
    const bobs = (await client.login(...bob as [string, string])).body
    t.match(await client.get('/me', first.access_token), { status: 200, body: { id: '1', roles: ['admin', 'editor'] } })
    t.match(await client.get('/me', bobs.access_token), { status: 200, body: { id: '2', roles: ['reader'] } })
    t.equal((await client.get('/admin', first.access_token)).status, 200)
    t.match(await client.get('/admin', bobs.access_token), { status: 403, code: 'CLAIMS_INSUFFICIENT' })

    const second = await client.refresh(first.refresh_token)
    t.equal(second.status, 200)
    t.equal((await client.get('/me', second.body.access_token)).status, 200)
    t.match(await client.refresh(first.refresh_token), { status: 401, code: 'REFRESH_TOKEN_INVALID' }, 'the old refresh token')
    t.match(await client.get('/me', second.body.access_token), { status: 401, code: 'SESSION_REVOKED' }, 'its session has ended')

    const third = (await client.login(...alice as [string, string])).body
    t.equal((await client.get('/me', third.access_token)).status, 200)
    t.equal((await client.logout(third.access_token)).status, 204)
    t.match(await client.get('/me', third.access_token), { status: 401, code: 'SESSION_REVOKED' })
    t.equal((await client.get('/me', bobs.access_token)).status, 200, 'the session of the other user lives on')
    t.match(await client.login(alice?.[0] as string, 'wrong'), { status: 401, code: 'INVALID_CREDENTIALS' })
  })

  await t.test('the lines that it prints work when they are pasted', { skip: skipPasting }, async (t) => {
    const { code, statuses, output } = await paste(guide)
    t.equal(code, 0)
    t.same(statuses, ['200', '200', '200', '204', '401'])
    t.match(output, 'FST_JWT_SESSION_SESSION_REVOKED')
  })

  t.equal(await example.stop('SIGTERM'), 0, 'a signal closes it')
})

t.test('the minimal example closes on SIGINT', async (t) => {
  const example = run(t, 'examples/minimal.ts')
  await example.printed(/Listening at/)
  t.equal(await example.stop('SIGINT'), 0)
})

t.test('the example with cookies', async (t) => {
  const example = run(t, 'examples/cookies.ts')
  const [guide, address] = await example.printed(/Listening at (\S+) [^]*log out[^]*\n$/) as [string, string]

  await t.test('its page logs in, renews what has expired, changes something and logs out', async (t) => {
    const page = await openPage(address)
    t.match(await page.press('me'), /^401 .*TOKEN_MISSING/)
    t.match(await page.submit('login', { username: 'alice', password: 'wrong' }), /^401 .*INVALID_CREDENTIALS/)
    const login = await page.submit('login', { username: 'alice', password: 'wonderland' })
    t.match(login, /^200 .*csrf_token/)
    t.notMatch(login, 'eyJ', 'no token is in sight of the page')
    t.equal(await page.press('me'), '200 {"id":"1","nickname":"Alice"}')
    t.equal(await page.submit('nickname', { nickname: 'Lis' }), '200 {"nickname":"Lis"}')
    page.cookies.delete('access_token')
    t.equal(await page.press('me'), '200 {"id":"1","nickname":"Lis"}', 'by a refresh')
    t.equal(await page.press('logout'), '204 ')
    t.same(Array.from(page.cookies), [])
    t.match(await page.press('me'), /^401/)
  })

  await t.test('the lines that it prints work when they are pasted', { skip: skipPasting }, async (t) => {
    const { code, statuses, output } = await paste(guide)
    t.equal(code, 0)
    t.same(statuses, ['200', '403', '403', '200', '200', '204', '401'])
    t.equal(output.match(/CSRF_FAILED/g)?.length, 2)
    t.match(output, 'FST_JWT_SESSION_SESSION_REVOKED')
  })

  t.equal(await example.stop('SIGTERM'), 0)
})

/** The page of an example, without a browser: the script runs on what stands in for a document. */
async function openPage (address: string) {
  const cookies = new Map<string, string>()
  async function fetchAsBrowser (path: string, { headers, ...request }: RequestInit = {}): Promise<Response> {
    const cookie = Array.from(cookies, ([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(address + path, { ...request, headers: { ...headers as object, cookie, origin: address } })
    for (const header of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(header) ?? []
      if (value === '') cookies.delete(name)
      else cookies.set(name, value)
    }
    return response
  }
  interface Element { textContent: string, onclick (): Promise<void>, onsubmit (event: object): Promise<void> }
  const html = await (await fetch(address)).text()
  const elements = Object.fromEntries(Array.from(html.matchAll(/ id="(\w+)"/g), ([, id]) => [id as string, {} as Element]))
  const script = await (await fetch(address + (/<script src="([^"]+)"/.exec(html)?.[1] ?? ''))).text()
  class FormData { constructor (readonly fields: object) {} [Symbol.iterator] () { return Object.entries(this.fields)[Symbol.iterator]() } }
  vm.runInNewContext(script, { document: { getElementById: (id: string) => elements[id] }, fetch: fetchAsBrowser, FormData })

  const answer = () => elements.answer?.textContent as string
  return {
    cookies,
    press: async (id: string) => { await elements[id]?.onclick(); return answer() },
    submit: async (id: string, target: object) => { await elements[id]?.onsubmit({ target, preventDefault () {} }); return answer() }
  }
}

t.test('every TypeScript block of the README compiles', async (t) => {
  const isGlobal = (block: string): boolean => block.includes("declare module 'fastify'")
  const ordinary = blocks('ts').filter((block) => !isGlobal(block))
  const [augmentation, ...more] = blocks('ts').filter(isGlobal)
  t.ok(ordinary.length > 5, 'there are some')
  t.same(more, [], 'one block types the application')

  const directory = t.testdir({
    ...surroundings,
    ...Object.fromEntries(ordinary.map((block, index) => [`block-${index}.mts`, block])),
    'typed.mts': `${augmentation}
      import type { Auth } from 'fastify-jwt-session'
      app.get('/typed', { onRequest: [app.requireClaims({ roles: 'admin' })] }, ({ auth }) => {
        const nullable: null extends typeof auth ? Auth : never = auth as Auth
        const roles: string[] = nullable.user?.roles ?? nullable.claims.roles
        return roles
      })
      // @ts-expect-error the role is not a number
      app.requireClaims({ roles: 1 })
      // @ts-expect-error the user has roles
      app.jwtSession.login({ id: '1', passwordHash: '' })
    `
  })
  const at = (name: string): string => join(directory, name)
  const given = Object.keys(surroundings).map(at)
  t.same(faultsOf([...given, ...ordinary.map((_, index) => at(`block-${index}.mts`))]), [])
  t.same(faultsOf([...given, at('typed.mts')]), [])
})

t.test('the first program of the README runs with the users of the README', async (t) => {
  const source = blockWith('ts', 'process.env.JWT_SECRET')
  t.match(source, 'port: 3000')
  const users = blockWith('ts', 'const db =')
  const directory = t.testdir({ 'app.mts': `${users}\n${source.replace('port: 3000', 'port: 0')}` })
  const program = runWith(t, { JWT_SECRET: 'for the README, 32 bytes or more: 7QmT2vX9dLr4' }, join(directory, 'app.mts'))
  const [, address] = await program.printed(/Server listening at (http:\/\/127[^"]+)/) as [string, string]

  await t.test('login, guarded routes, refresh, logout', async (t) => {
    const client = clientOf(address)
    const tokens = (await client.login('ada@example.com', 'lovelace')).body
    t.match(await client.get('/me', tokens.access_token), { status: 200, body: { id: '1' } })
    t.match(await client.get('/admin', tokens.access_token), { status: 200, body: { text: 'hello' } })
    const others = (await client.login('charles@example.com', 'babbage')).body
    t.equal((await client.get('/admin', others.access_token)).code, 'CLAIMS_INSUFFICIENT')
    const renewed = await client.refresh(tokens.refresh_token)
    t.equal(renewed.status, 200)
    t.equal((await client.logout(renewed.body.access_token)).status, 204)
    t.equal((await client.get('/me', tokens.access_token)).code, 'SESSION_REVOKED')
  })

  await t.test('the lines of the README work when they are pasted', { skip: skipPasting }, async (t) => {
    const lines = blockWith('sh', 'curl')
    t.match(lines, 'http://127.0.0.1:3000')
    const { code, statuses, output } = await paste(lines.replace('http://127.0.0.1:3000', address).replace(/^/gm, '  '))
    t.equal(code, 0)
    t.same(statuses, ['200', '200', '204', '401'])
    t.match(output, 'FST_JWT_SESSION_SESSION_REVOKED')
  })
})

t.test('the CommonJS lines and the store of the README work together', async (t) => {
  const [requires, ...more] = blocks('js')
  t.same(more, [], 'there is one block of JavaScript')
  const directory = t.testdir({
    'store.ts': `${blockWith('ts', 'function mapStore')}\nexport { mapStore }`,
    'program.ts': `${requires}
      const { mapStore } = require('./store.ts')
      const user = { id: 'a', passwordHash: '' }
      async function main () {
        const app = Fastify()
        await app.register(jwtSession, {
          secret: 'for the README, 32 bytes or more: 7QmT2vX9dLr4',
          revocationStore: mapStore(),
          userLookup: { findByUsername: () => user, findById: () => user }
        })
        app.get('/me', { onRequest: [jwtSession.authenticate] }, ({ auth }) => auth.subject)
        const { access_token: token, refresh_token: refreshToken } = await app.jwtSession.login(user)
        const status = async () => (await app.inject({ url: '/me', headers: { authorization: 'Bearer ' + token } })).statusCode
        const refresh = () => app.jwtSession.refresh(refreshToken).then(() => 'refreshed', (error) => error.code)
        console.log(await status(), await refresh(), await refresh(), await status(), (await app.jwtSession.list('a')).length)
      }
      main()
    `
  })
  const program = run(t, join(directory, 'program.ts'))
  const [printed] = await program.printed(/^.+\n/)
  t.equal(printed, '200 refreshed FST_JWT_SESSION_REFRESH_TOKEN_INVALID 401 0\n')
})

/** An application with two users and what the README asks of it, as a module that gives it to everybody. */
const READERS_APP = `
  import Fastify from 'fastify'
  import jwtSession, { bcryptPasswords } from 'fastify-jwt-session'
  const passwordHash = await bcryptPasswords({ cost: 8 }).hash('lovelace')
  const users = [{ id: 'a', username: 'ada', passwordHash, roles: ['admin'] }, { id: 'c', username: 'charles', passwordHash, roles: [] }]
  const find = (name) => (value) => users.find((user) => user[name] === value)
  async function buildApp () {
    const app = Fastify()
    await app.register(jwtSession, {
      secret: 'for the README, 32 bytes or more: 7QmT2vX9dLr4',
      userLookup: { findByUsername: find('username'), findById: find('id') },
      claims: ({ roles }) => ({ roles })
    })
    app.get('/me', { onRequest: [app.authenticate] }, ({ auth }) => ({ id: auth.subject }))
    app.get('/reports', { onRequest: [app.requireClaims({ roles: 'admin' })] }, () => [])
    return app
  }
  Object.assign(globalThis, { buildApp, admin: users[0], reader: users[1], app: await buildApp() })
`

t.test('the tests of the README pass', async (t) => {
  const directory = t.testdir({ 'app.mjs': READERS_APP, 'readers.test.mts': blockWith('ts', 'function loginAs') })
  const program = run(t, '--import', join(directory, 'app.mjs'), join(directory, 'readers.test.mts'))
  const [, passed] = await program.printed(/pass (\d+)[^]*fail 0/)
  t.equal(passed, '3')
})

t.test('the client of the README runs in what the README serves', async (t) => {
  const directory = t.testdir({
    'app.mjs': READERS_APP,
    'program.mts': `${blockWith('ts', '/client.js')}
      const address = await app.listen({ port: 0, host: '127.0.0.1' })
      const stored = new Map()
      const localStorage = { getItem: (key) => stored.get(key) ?? null, setItem: (key, value) => stored.set(key, value) }
      let logins = 0
      Object.assign(globalThis, { location: { href: address + '/page' }, localStorage, showLogin: () => { logins++ } })
      const served = await (await fetch(address + '/client.js')).text()
      const fromServer = await import('data:text/javascript,' + encodeURIComponent(served.replace(/^.*sourceMapp.*/m, '')))
      ${blockWith('ts', 'localStorage').replace(/^import .*$/m, 'const { createSessionClient } = fromServer')}
      console.log(logins, await submit('ada', 'wrong'), await submit('ada', 'lovelace'), JSON.stringify(await whoAmI()), stored.size)
      await session.logout({ everywhere: true })
      console.log(session.active, logins)
      process.exit()
    `
  })
  const program = run(t, '--import', join(directory, 'app.mjs'), join(directory, 'program.mts'))
  const [printed] = await program.printed(/^.+\n.+\n/)
  t.equal(printed, '1 Wrong username or password Welcome {"id":"a"} 1\nfalse 1\n')
})

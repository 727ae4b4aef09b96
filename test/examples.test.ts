import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import vm from 'node:vm'
import { childEnv } from './support/child-env'
import t, { type Test } from 'tap'
import ts from 'typescript'

// Every program starts in a process of its own, on machines that may be slow.
t.setTimeout(180_000)

const ROOT = join(__dirname, '..')
const README = readFileSync(join(ROOT, 'README.md'), 'utf8')

interface Program {
  /** Waits for the first match of a pattern in what the program prints. */
  printed (pattern: RegExp): Promise<RegExpMatchArray>
  stop (signal: NodeJS.Signals): Promise<number | null>
}

/** Runs a program as `npm start` does, at a free port, and without the loaders of tap, which would measure it too. */
function run (t: Test, ...args: string[]): Program {
  const child = spawn(process.execPath, ['--import', 'tsx', ...args], { cwd: ROOT, env: { ...childEnv(), PORT: '0' } })
  const ended = once(child, 'close').then(([code]) => code as number | null)
  t.teardown(() => { child.kill('SIGKILL') })

  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => { output += text })
  return {
    async printed (pattern) {
      for (;;) {
        const match = pattern.exec(output)
        if (match !== null) return match
        const code = await Promise.race([ended, once(child.stdout, 'data').then(() => 'more')])
        if (code !== 'more' && !pattern.test(output)) throw new Error(`The program ended with ${code}: ${output}`)
      }
    },
    async stop (signal) {
      child.kill(signal)
      return await ended
    }
  }
}

interface Answer {
  status: number
  code: string | undefined
  body: { access_token: string, refresh_token: string, [member: string]: unknown }
}

function clientOf (address: string) {
  async function send (method: string, path: string, token: string | undefined, body: object | undefined): Promise<Answer> {
    const response = await fetch(address + path, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' })
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    const text = await response.text()
    const answer = text.startsWith('{') ? JSON.parse(text) : { text }
    return { status: response.status, code: answer.code?.replace('FST_JWT_SESSION_', ''), body: answer }
  }
  return {
    get: (path: string, token?: string) => send('GET', path, token, undefined),
    login: (username: string, password: string) => send('POST', '/login', undefined, { username, password }),
    refresh: (token: string) => send('POST', '/refresh', undefined, { refresh_token: token }),
    logout: (token: string) => send('POST', '/logout', token, undefined)
  }
}

/** The code blocks of a language in the README, without the indentation of the list that they may stand in. */
function blocks (language: string): string[] {
  const pattern = new RegExp(`^( *)\`\`\`${language}\\n([^]*?)^ *\`\`\`$`, 'gm')
  return Array.from(README.matchAll(pattern), ([, indent, code]) => (code as string).replaceAll(new RegExp(`^${indent}`, 'gm'), ''))
}

function blockWith (language: string, text: string): string {
  const found = blocks(language).filter((block) => block.includes(text))
  if (found.length !== 1) throw new Error(`${found.length} blocks of the README hold ${text}`)
  return found[0] as string
}

const skipPasting = !['sh', 'curl'].every((tool) => spawnSync(tool, ['-c', 'true']).error === undefined) && 'needs sh and curl'

/** Runs the lines that an example prints for that, and answers what became of them. */
async function paste (guide: string): Promise<{ code: number, statuses: string[], output: string }> {
  const lines = guide.split('\n').filter((line) => /^ {2}(?:\w+=|\w+ \(\)|curl |change)/.test(line))
  const shell = spawn('sh', ['-e'], { stdio: ['pipe', 'pipe', 'ignore'] })
  let output = ''
  shell.stdout.setEncoding('utf8').on('data', (text: string) => { output += text })
  shell.stdin.end(lines.join('\n') + '\n')
  const [code] = await once(shell, 'close')
  return { code, output, statuses: Array.from(output.matchAll(/^HTTP\/1.1 (\d+)/gm), ([, status]) => status as string) }
}

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

/** What the programs of the README take for granted. */
const surroundings = {
  'application.d.mts': `
    import type { FastifyInstance } from 'fastify'
    import type { JwtSessionOptions, SessionUser, UserLookup } from 'fastify-jwt-session'

    declare global {
      interface DbUser extends SessionUser { roles: string[] }
      const jwtSession: typeof import('fastify-jwt-session').default
      const app: FastifyInstance
      const options: JwtSessionOptions<DbUser>
      const userLookup: UserLookup<DbUser>
      const db: { users: {
        byEmail (email: string): Promise<DbUser | null>
        byId (id: string): Promise<DbUser | null>
        insert (user: object): Promise<DbUser | null>
        setPasswordHash (id: string, passwordHash: string): Promise<void>
      } }
      const pool: { query<Row> (sql: string, values: unknown[]): Promise<{ rows: Row[] }> }
      function alarm (message: string): void
      function userOfCallback (request: import('fastify').FastifyRequest): Promise<DbUser>
      function mail (address: string, text: string): Promise<void>
      function emptyDatabase (): Promise<{ connect (): object, close (): void }>
      function myStore (connection: object): import('fastify-jwt-session').RevocationStore
    }
    declare module 'fastify' {
      interface FastifyContextConfig { rateLimit?: { max: number, timeWindow: string } }
    }
  `,
  'rate-limit.d.ts': `
    declare module '@fastify/rate-limit' {
      const rateLimit: import('fastify').FastifyPluginAsync<{ global: boolean }>
      export default rateLimit
    }
  `
}

/** The faults that the compiler finds in a program of several files, as an application would have it configured. */
function faultsOf (files: string[]): string[] {
  const program = ts.createProgram(files, {
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    types: ['node'],
    skipLibCheck: true,
    noEmit: true
  })
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) =>
    `${file?.fileName}:${start}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`)
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

t.test('the first program of the README runs', async (t) => {
  const source = blockWith('ts', 'process.env.JWT_SECRET')
  t.match(source, 'port: 3000')
  const directory = t.testdir({
    'program.mts': source.replace('port: 3000', 'port: 0'),
    'db.mjs': `
      import { bcryptPasswords } from 'fastify-jwt-session'
      process.env.JWT_SECRET = 'for the README, 32 bytes or more: 7QmT2vX9dLr4'
      const { hash } = bcryptPasswords({ cost: 8 })
      const users = [
        { id: 'a', email: 'ada@example.com', passwordHash: await hash('lovelace'), roles: ['admin'] },
        { id: 'c', email: 'charles@example.com', passwordHash: await hash('babbage'), roles: [] }
      ]
      const find = (name) => async (value) => users.find((user) => user[name] === value) ?? null
      globalThis.db = { users: { byEmail: find('email'), byId: find('id') } }
    `
  })
  const program = run(t, '--import', join(directory, 'db.mjs'), join(directory, 'program.mts'))
  const [, address] = await program.printed(/Server listening at (http:[^"]+)/)
  const client = clientOf(address as string)

  const tokens = (await client.login('ada@example.com', 'lovelace')).body
  t.match(await client.get('/me', tokens.access_token), { status: 200, body: { id: 'a' } })
  t.match(await client.get('/admin', tokens.access_token), { status: 200, body: { text: 'hello' } })
  const others = (await client.login('charles@example.com', 'babbage')).body
  t.equal((await client.get('/admin', others.access_token)).code, 'CLAIMS_INSUFFICIENT')
  const renewed = await client.refresh(tokens.refresh_token)
  t.equal(renewed.status, 200)
  t.equal((await client.logout(renewed.body.access_token)).status, 204)
  t.equal((await client.get('/me', tokens.access_token)).code, 'SESSION_REVOKED')
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

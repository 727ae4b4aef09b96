// Proves the packed package in an empty folder: what is in it, that every module system and resolution loads it, and that it
// works beside an application that uses the same plugins. Installs from the registry that npm is configured for.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const NAME = 'fastify-jwt-session'

// What npm tells its own children would send the next npm back to this package.
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) =>
  !/^(?:npm_(?!config_)|npm_config_local_prefix$|INIT_CWD$|NODE_OPTIONS$)/i.test(name)))

class Failure extends Error {}

function run (cwd, command, ...args) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8', shell: process.platform === 'win32' && command === 'npm' })
  if (status !== 0) throw new Failure(`${[command, ...args].join(' ')} failed (${error ?? status})\n${stdout}${stderr}`)
  return stdout
}

function check (isTrue, message) {
  if (!isTrue) throw new Failure(message)
}

function ok (message) {
  console.log(`ok ${message}`)
}

function write (directory, files) {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), typeof content === 'string' ? content : JSON.stringify(content, null, 2))
  }
}

function pack (directory) {
  run(ROOT, 'npm', 'pack', '--silent', '--pack-destination', directory)
  const tarballs = readdirSync(directory).filter((name) => name.endsWith('.tgz'))
  check(tarballs.length === 1, `npm pack made ${tarballs.length} tarballs`)
  return tarballs[0]
}

function install (directory, tarball) {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const versions = { ...devDependencies, ...dependencies }
  const names = ['fastify', '@fastify/jwt', '@fastify/sensible', '@fastify/cookie', 'typescript', '@types/node']
  write(directory, { 'package.json': { name: 'consumer', private: true } })
  run(directory, 'npm', 'install', '--no-audit', '--no-fund', `./${tarball}`, ...names.map((name) => `${name}@${versions[name]}`))
  ok('installs in an empty folder')
}

function checkContents (directory) {
  const installed = join(directory, 'node_modules', NAME)
  const top = readdirSync(installed).sort()
  check(top.join() === ['LICENSE', 'README.md', 'dist', 'package.json'].join(), `the tarball holds ${top.join(', ')}`)
  ok('holds dist, package.json, README.md and LICENSE')

  const declarations = readdirSync(join(installed, 'dist'), { recursive: true }).filter((name) => name.endsWith('.d.ts'))
  check(declarations.length > 0, 'the tarball holds no types')
  for (const name of declarations) {
    const text = readFileSync(join(installed, 'dist', name), 'utf8')
    const [found] = /(?:from|import|require|types=)\s*\(?\s*['"]@fastify\/(?:jwt|sensible)\b/.exec(text) ?? []
    check(found === undefined, `${name} takes types from a dependency: ${found}`)
  }
  ok('no types come from @fastify/jwt or @fastify/sensible')
}

/** Of any application, in any language: a login, a guarded route, a logout. */
const flow = `
  const server = Fastify()
  await server.register(jwtSession, {
    secret: 'to check the tarball, 32 bytes or more: 7QmT2vX9dLr4',
    userLookup: { findByUsername: () => user, findById: () => user },
    claims: ({ roles }) => ({ roles })
  })
  server.get('/me', { onRequest: [server.authenticate] }, ({ auth }) => auth.subject)
  server.get('/admin', { onRequest: [requireClaims({ roles: anyOf('admin', 'root') })] }, ({ auth }) => auth.subject)
  const answer = await server.inject({ method: 'POST', url: '/login', payload: { username: 'ada', password: 'lovelace' } })
  const headers = { authorization: 'Bearer ' + answer.json().access_token }
  const codes = []
  for (const url of ['/me', '/admin']) codes.push((await server.inject({ url, headers })).statusCode)
  codes.push((await server.inject({ method: 'POST', url: '/logout', headers })).statusCode)
  codes.push((await server.inject({ url: '/me', headers })).statusCode)
  if (codes.join() !== '200,200,204,401') throw new Error('The answers were ' + codes.join())
`

const user = "{ id: '1', passwordHash: await bcryptPasswords({ cost: 8 }).hash('lovelace'), roles: ['admin'] }"

const modules = {
  'default-and-named.mjs': `
    import Fastify from 'fastify'
    import jwtSession, { anyOf, authenticate, bcryptPasswords, fastifyJwtSession, requireClaims } from '${NAME}'
    if (fastifyJwtSession !== jwtSession || typeof authenticate !== 'function') throw new Error('The exports differ')
    const user = ${user}
    ${flow}`,
  'default.cjs': `
    const Fastify = require('fastify')
    const jwtSession = require('${NAME}')
    const { anyOf, bcryptPasswords, requireClaims } = jwtSession
    async function main () {
      const user = ${user}
      ${flow}
    }
    main()`,
  'destructured.cjs': `
    const Fastify = require('fastify')
    const { default: jwtSession, fastifyJwtSession, anyOf, bcryptPasswords, requireClaims } = require('${NAME}')
    if (fastifyJwtSession !== jwtSession || require('${NAME}') !== jwtSession) throw new Error('The exports differ')
    async function main () {
      const user = ${user}
      ${flow}
    }
    main()`,
  'subpaths.mjs': `
    import { createRequire } from 'node:module'
    import { redisStore } from '${NAME}/redis'
    import { postgresStore } from '${NAME}/postgres'
    import { conformanceTests, faultyStore } from '${NAME}/conformance'
    import { memoryStore } from '${NAME}'
    const require = createRequire(import.meta.url)
    if (require('${NAME}/redis').redisStore !== redisStore) throw new Error('The exports differ')
    for (const make of [redisStore, postgresStore]) {
      try {
        make({})
      } catch (error) {
        if (error.code === 'FST_JWT_SESSION_OPTION_INVALID') continue
      }
      throw new Error('A client that is none was not refused')
    }
    const store = faultyStore(memoryStore(), () => undefined)
    for (const { run } of conformanceTests({ open: () => store, rounds: 2 })) await run()`,
  'cookies.mjs': `
    import Fastify from 'fastify'
    import jwtSession, { bcryptPasswords } from '${NAME}'
    const user = ${user}
    const server = Fastify()
    await server.register(jwtSession, {
      secret: 'to check the tarball, 32 bytes or more: 7QmT2vX9dLr4',
      userLookup: { findByUsername: () => user, findById: () => user },
      locations: ['cookie']
    })
    const headers = { 'sec-fetch-site': 'same-origin' }
    const login = await server.inject({ method: 'POST', url: '/login', headers, payload: { username: 'ada', password: 'lovelace' } })
    const cookie = login.headers['set-cookie'].map((header) => header.split(';')[0]).join('; ')
    const forged = await server.inject({ method: 'POST', url: '/refresh', headers: { cookie, 'sec-fetch-site': 'cross-site' } })
    const renewed = await server.inject({ method: 'POST', url: '/refresh', headers: { cookie, ...headers } })
    const codes = [login, forged, renewed].map(({ statusCode }) => statusCode)
    if (codes.join() !== '200,403,200') throw new Error('The answers were ' + codes.join())`
}

function checkModules (directory) {
  write(directory, modules)
  for (const name of Object.keys(modules)) {
    run(directory, process.execPath, name)
    ok(`runs: ${name}`)
  }
}

const typed = `
  const tokens: TokenAnswer = await server.jwtSession.login(user)
  const auth: Auth = await server.jwtSession.verify(tokens.access_token)
  // @ts-expect-error there is no such option
  const options: JwtSessionOptions = { secret: '', userLookup: { findByUsername: () => user, findById: () => user }, sekret: '' }
  server.jwtSession.events.on('session.reused', ({ subject, presented }) => [subject.length, presented.toFixed()])
  void [auth, options]
`

const sources = {
  imported: `
    import Fastify from 'fastify'
    import jwtSession, { anyOf, bcryptPasswords, requireClaims } from '${NAME}'
    import type { Auth, JwtSessionOptions, TokenAnswer } from '${NAME}'
    async function main (): Promise<void> {
      const user = ${user}
      ${flow}
      ${typed}
    }
    main()`,
  required: `
    import Fastify = require('fastify')
    import jwtSession = require('${NAME}')
    const { anyOf, bcryptPasswords, requireClaims } = jwtSession
    type Auth = jwtSession.Auth
    type JwtSessionOptions = jwtSession.JwtSessionOptions
    type TokenAnswer = jwtSession.TokenAnswer
    async function main (): Promise<void> {
      const user = ${user}
      ${flow}
      ${typed}
    }
    main()`
}

const resolutions = [
  { module: 'node16', moduleResolution: 'node16' },
  { module: 'nodenext', moduleResolution: 'nodenext' },
  { module: 'preserve', moduleResolution: 'bundler' }
]

function checkTypes (directory) {
  const tsc = join(directory, 'node_modules', 'typescript', 'bin', 'tsc')
  for (const type of ['module', 'commonjs']) {
    for (const resolution of resolutions) {
      const { module, moduleResolution } = resolution
      const project = join(directory, `${type}-${moduleResolution}`)
      const files = { 'imported.ts': sources.imported, ...(type === 'commonjs' ? { 'required.cts': sources.required } : {}) }
      const compilerOptions = { ...resolution, target: 'es2022', types: ['node'], strict: true, skipLibCheck: false, outDir: 'out' }
      write(project, { ...files, 'package.json': { private: true, type }, 'tsconfig.json': { compilerOptions } })
      run(project, process.execPath, tsc, '-p', '.')
      // What is made for bundlers is theirs to run.
      const programs = module === 'preserve' ? [] : readdirSync(join(project, 'out'))
      for (const name of programs) run(project, process.execPath, join('out', name))
      ok(`compiles${module === 'preserve' ? '' : ' and runs'}: TypeScript, "type": "${type}", module ${module}, resolution ${moduleResolution}`)
    }
  }
}

const host = `
  import assert from 'node:assert'
  import Fastify from 'fastify'
  import cookie from '@fastify/cookie'
  import jwt from '@fastify/jwt'
  import sensible from '@fastify/sensible'
  import jwtSession, { bcryptPasswords } from '${NAME}'

  const user = ${user}
  const app = Fastify()

  async function registerOwn () {
    await app.register(cookie, { secret: 'the secret of cookies' })
    await app.register(sensible)
    await app.register(jwt, { secret: 'the secret of the host, of a length that is its own affair' })
  }
  async function registerSessions () {
    await app.register(jwtSession, {
      secret: 'to check the tarball, 32 bytes or more: 7QmT2vX9dLr4',
      userLookup: { findByUsername: () => user, findById: () => user }
    })
  }
  const order = [registerOwn, registerSessions]
  if (process.argv[2] === 'before') order.reverse()
  for (const register of order) await register()

  app.get('/me', { onRequest: [app.authenticate] }, (request) => ({ subject: request.auth.subject, user: request.user ?? null }))
  app.get('/own', { onRequest: [(request) => request.jwtVerify()] }, (request) => ({ auth: request.auth, user: request.user }))
  app.get('/cookie', (request, reply) => reply.setCookie('seen', 'yes').send(request.cookies))
  app.get('/teapot', () => { throw app.httpErrors.imateapot() })

  async function ask (url, token, options = {}) {
    return await app.inject({ url, headers: token === undefined ? {} : { authorization: 'Bearer ' + token }, ...options })
  }
  const login = await ask('/login', undefined, { method: 'POST', payload: { username: 'ada', password: 'lovelace' } })
  assert.strictEqual(login.statusCode, 200)
  const { access_token: token } = login.json()
  const own = app.jwt.sign({ name: 'own' })

  assert.deepStrictEqual((await ask('/me', token)).json(), { subject: '1', user: null })
  assert.strictEqual((await ask('/me', own)).json().code, 'FST_JWT_SESSION_TOKEN_INVALID')
  const answer = (await ask('/own', own)).json()
  assert.strictEqual(answer.user.name, 'own')
  assert.strictEqual(answer.auth, null)
  assert.strictEqual((await ask('/own', token)).statusCode, 401)
  assert.strictEqual(app.jwt.verify(own).name, 'own')
  assert.throws(() => app.jwt.verify(token))
  assert.strictEqual((await ask('/teapot')).statusCode, 418)
  const cookies = await app.inject({ url: '/cookie', headers: { cookie: 'a=b' } })
  assert.deepStrictEqual(cookies.json(), { a: 'b' })
  assert.match(String(cookies.headers['set-cookie']), /^seen=yes/)

  assert.strictEqual((await ask('/logout', token, { method: 'POST' })).statusCode, 204)
  assert.strictEqual((await ask('/me', token)).json().code, 'FST_JWT_SESSION_SESSION_REVOKED')
  assert.strictEqual((await ask('/own', own)).statusCode, 200)
  await app.close()
`

function checkNeighbours (directory) {
  write(directory, { 'host.mjs': host })
  for (const order of ['after', 'before']) {
    run(directory, process.execPath, 'host.mjs', order)
    ok(`works when it is registered ${order} the host's own @fastify/jwt, @fastify/sensible and @fastify/cookie`)
  }
}

const lonely = `
  import assert from 'node:assert'
  import Fastify from 'fastify'
  import jwtSession from '${NAME}'

  const options = {
    secret: 'to check the tarball, 32 bytes or more: 7QmT2vX9dLr4',
    userLookup: { findByUsername: () => null, findById: () => null }
  }
  await Fastify().register(jwtSession, options)
  await assert.rejects(async () => { await Fastify().register(jwtSession, { ...options, locations: ['cookie'] }) }, {
    code: 'FST_JWT_SESSION_OPTION_INVALID',
    message: /@fastify\\/cookie is not installed/
  })
`

/** The last check: it takes something away. */
function checkWithoutCookie (directory) {
  rmSync(join(directory, 'node_modules', '@fastify', 'cookie'), { recursive: true })
  write(directory, { 'lonely.mjs': lonely })
  run(directory, process.execPath, 'lonely.mjs')
  ok('works without @fastify/cookie, and refuses cookies then')
}

const directory = mkdtempSync(join(tmpdir(), `${NAME}-`))
try {
  install(directory, pack(directory))
  checkContents(directory)
  checkModules(directory)
  checkTypes(directory)
  checkNeighbours(directory)
  checkWithoutCookie(directory)
} catch (error) {
  console.error(error instanceof Failure ? `not ok ${error.message}` : error)
  process.exitCode = 1
} finally {
  rmSync(directory, { recursive: true, force: true })
}

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Pool } from 'pg'
import t from 'tap'
import ts from 'typescript'
import { conformanceTests } from '../lib/conformance'
import { docExamples, type DocExample } from './support/doc-comments'
import { engineNamed, newNamespace, skipReason } from './support/engines'
import { run, runWith } from './support/program'
import { faultsOf, surroundings } from './support/surroundings'

// Every program starts in a process of its own, on machines that may be slow.
t.setTimeout(180_000)

const examples = docExamples()
const isGlobal = ({ code }: DocExample): boolean => code.includes("declare module 'fastify'")
const KIT = 'lib/conformance conformanceTests'

/** What shows that an example did what it says; `before` is what has to be there. */
interface Proof { readonly before?: string, readonly after: string }

const proofs: Record<string, Proof> = {
  'lib/index fastifyJwtSession': { after: "await answers({ '/me': [200, 200, 401] }); await app.close()" },
  'lib/hooks authenticate': { after: "await answers({ '/me': [200, 200, 401], 'POST /email': [200, 200, 401] })" },
  'lib/hooks requireClaims': { after: "await answers({ '/reports': [200, 403, 401] })" },
  'lib/claims anyOf': { after: "await answers({ '/drafts': [200, 403, 401] })" },
  'lib/claims allOf': { after: "await answers({ '/drafts': [403, 403, 401] }); equal(await status(app, 'GET', '/drafts', await bearer(app, both)), 200)" },
  'lib/stores/memory memoryStore': {
    after: `
      const login = await app.inject({ method: 'POST', url: '/login', payload: { username: 'ada', password: 'lovelace' } })
      const headers = { authorization: 'Bearer ' + login.json().access_token }
      equal(await status(app, 'GET', '/cart', headers), 200)
      equal((await app.inject({ url: '/office/me', headers })).json().id, 'a')
      equal(await status(app, 'POST', '/office/logout', headers), 204)
      equal(await status(app, 'GET', '/cart', headers), 401)`
  },
  'lib/conformance-faults faultyStore': { after: 'equal(answer.statusCode, 503); isDown = false; await app.jwtSession.login(admin)' },
  'lib/client createSessionClient': {
    before: `
      app.get('/me', { onRequest: [app.authenticate] }, ({ auth }) => ({ id: auth.subject }))
      location = { href: await app.listen({ port: 0, host: '127.0.0.1' }) + '/page' }`,
    after: 'equal(answer.status, 200); equal(session.active, true); await session.logout(); equal(session.active, false)'
  },
  'lib/passwords/bcrypt bcryptPasswords': {
    after: "equal(await app.jwtSession.verifyPassword('correct horse battery staple', passwordHash), true); equal(passwordHash.slice(0, 7), '$2b$12$')"
  },
  'lib/passwords/scrypt scryptPasswords': {
    after: `
      equal(await status(app, 'POST', '/login', {}, { username: 'ada', password: 'lovelace' }), 200)
      equal((await app.jwtSession.hashPassword('lovelace')).slice(0, 8), '$scrypt$')`
  },
  'lib/errors isSessionError': {
    after: `
      app.get('/me', { onRequest: [app.authenticate] }, () => 'never')
      app.get('/broken', () => { throw Object.assign(new Error('no'), { code: 'OTHER', statusCode: 418 }) })
      equal((await app.inject('/me')).body, '{"reason":"FST_JWT_SESSION_TOKEN_MISSING"}')
      equal((await app.inject('/broken')).json().code, 'OTHER')`
  },
  'types/fastify authenticate': { after: "await answers({ '/me': [200, 200, 401], 'POST /email': [200, 200, 401] })" },
  'types/fastify requireClaims': { after: "await answers({ '/reports': [200, 403, 401] })" },
  'types/guards AuthenticateOptions': {
    after: `
      await answers({ '/news': [200, 200, 200], 'DELETE /account': [200, 200, 401], '/name': [200, 200, 401] })
      equal((await app.inject('/news')).json().hello, 'stranger')
      equal((await app.inject({ url: '/name', headers: await bearer(app, admin) })).json().id, 'a')
      const { access_token: token } = await app.jwtSession.refresh((await app.jwtSession.login(admin)).refresh_token)
      equal(await status(app, 'DELETE', '/account', { authorization: 'Bearer ' + token }), 401)`
  },
  'types/options JwtSessionOptions': {
    after: `
      const { header, claims } = await app.jwtSession.verify((await app.jwtSession.login(admin)).access_token)
      equal([header.kid, header.alg, claims.aud, claims.roles.join()].join(), '2026-06,EdDSA,shop,admin,buyer')
      equal((await app.inject('/.well-known/jwks.json')).json().keys.length, 1)`
  },
  'types/verify-only VerifyOnlyOptions': {
    before: `
      const issuer = Fastify()
      await issuer.register(jwtSession, { ...issuing, userLookup: options.userLookup, claims: options.claims })
      const toIssuer = fetch
      globalThis.fetch = async (url) => new Response((await issuer.inject(new URL(url).pathname)).body, { headers: { 'content-type': 'application/json' } })`,
    after: `
      equal(await status(app, 'GET', '/orders', await bearer(issuer, admin)), 200)
      equal(await status(app, 'GET', '/orders', await bearer(issuer, reader)), 403)
      globalThis.fetch = toIssuer
      await issuer.close()`
  },
  'types/keys KeyRing': { after: "equal(JSON.stringify(app.jwtSession.keys.list()), '[{\"kid\":\"2026-06\",\"algorithm\":\"EdDSA\",\"use\":\"sign\"}]')" },
  'types/session login': { after: "equal(await status(app, 'GET', '/callback'), 302); equal((await app.jwtSession.list('a')).length, 1)" },
  'types/session issueOneTimeToken': {
    after: `
      equal(subject, 'a')
      const again = await app.jwtSession.consumeOneTimeToken(token, { purpose: 'password-reset' }).catch((error) => error.code)
      equal(again, 'FST_JWT_SESSION_TOKEN_INVALID')`
  }
}

/** Those that need a server, by the engine that says whether it is there. */
const proofsWithServer: Record<string, Proof & { readonly engine: string }> = {
  'lib/stores/redis redisStore': {
    engine: 'redis (ioredis)',
    after: `
      await app.jwtSession.login(admin)
      const keys = await redis.keys('shop:*')
      equal(keys.length, 1)
      await redis.del(keys)`
  },
  'lib/stores/postgres postgresStore': {
    engine: 'postgresql',
    after: "await app.jwtSession.login(admin); equal((await pool.query('select subject from fastify_jwt_session')).rows[0].subject, 'a')"
  }
}

/** What the examples find around them, as a module that gives it to everybody. */
const AROUND = `
  import { strictEqual as equal } from 'node:assert'
  import { generateKeyPairSync } from 'node:crypto'
  import Fastify from 'fastify'
  import jwtSession, { bcryptPasswords, memoryStore } from 'fastify-jwt-session'

  const passwordHash = await bcryptPasswords({ cost: 8 }).hash('lovelace')
  const admin = { id: 'a', username: 'ada', passwordHash, roles: ['admin', 'buyer'] }
  const reader = { id: 'c', username: 'charles', passwordHash, roles: [] }
  const both = { id: 'b', username: 'both', passwordHash, roles: ['admin', 'editor'] }
  const find = (name) => (value) => [admin, reader, both].find((user) => user[name] === value)
  const userLookup = { findByUsername: find('username'), findById: find('id') }
  const secret = 'for doc comments, 32 bytes or more: 7QmT2vX9dLr4'
  const options = { secret, userLookup, claims: ({ roles }) => ({ roles }) }
  const privateKey = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
  Object.assign(process.env, { JWT_SECRET: secret, PRIVATE_KEY: privateKey })
  const issuing = {
    keys: [{ kid: 'a', algorithm: 'EdDSA', privateKey }], issuer: 'https://login.example.com', audience: 'shop', routes: { jwks: true }
  }

  const bearer = async (app, user) => ({ authorization: 'Bearer ' + (await app.jwtSession.login(user)).access_token })
  const status = async (app, method, url, headers = {}, payload) => (await app.inject({ method, url, headers, payload })).statusCode
  const stored = new Map()
  Object.assign(globalThis, {
    equal, Fastify, jwtSession, admin, reader, both, userLookup, options, issuing, bearer, status, location: undefined,
    db: { users: { byEmail: async (name) => userLookup.findByUsername(name), byId: async (id) => userLookup.findById(id) } },
    userOfCallback: async () => admin,
    localStorage: { getItem: (key) => stored.get(key) ?? null, setItem: (key, value) => { stored.set(key, value) } },
    showLogin () {},
    emptyDatabase: async () => { const store = memoryStore(); return { connect: () => store, close () {} } },
    myStore: (connection) => connection
  })

  export async function prove (name, path, isBare) {
    const app = globalThis.app = Fastify()
    if (!isBare) await app.register(jwtSession, options)
    try {
      await import(path)
      console.log('proven: ' + name)
    } catch (error) {
      console.log('not proven: ' + name, error)
    }
    await app.close()
  }
`

/** Of the application that an example makes or finds: what an admin, somebody without roles and a stranger are answered. */
const ANSWERS = `
  async function answers (expected) {
    for (const [route, statuses] of Object.entries(expected)) {
      const [url, method = 'GET'] = route.split(' ').reverse()
      const found = [await bearer(app, admin), await bearer(app, reader), {}].map((headers) => status(app, method, url, headers))
      equal((await Promise.all(found)).join(), statuses.join(), route)
    }
  }
`

const programOf = ({ code }: DocExample, { before = '', after }: Proof): string => `${before}\n${code}\n${ANSWERS}\n${after}\n`

/** The files of a program that runs some examples, one after the other, and proves each. */
function filesOf (chosen: DocExample[], proofOf: (name: string) => Proof): Record<string, string> {
  const calls = chosen.map(({ name, code }, index) =>
    `await prove(${JSON.stringify(name)}, './example-${index}.mts', ${code.includes('register(jwtSession')})`)
  return {
    'around.mjs': AROUND,
    ...Object.fromEntries(chosen.map((example, index) => [`example-${index}.mts`, programOf(example, proofOf(example.name))])),
    'all.mts': `import { prove } from './around.mjs'\n${calls.join('\n').replaceAll("'./", "import.meta.dirname + '/")}\n`
  }
}

t.test('every example of a doc comment has one proof, and every proof an example', async (t) => {
  const proven = [...Object.keys(proofs), ...Object.keys(proofsWithServer), KIT]
  t.same(examples.filter((example) => !isGlobal(example)).map(({ name }) => name).sort(), proven.sort())
  t.same(examples.filter(isGlobal).map(({ name }) => name), ['types/fastify JwtSessionTypes'])
})

t.test('every example of a doc comment compiles', async (t) => {
  const ordinary = examples.filter((example) => !isGlobal(example))
  const directory = t.testdir({
    ...surroundings,
    ...Object.fromEntries(ordinary.map(({ code }, index) => [`example-${index}.mts`, `${code}\nexport {}\n`])),
    'typed.mts': `import type {} from 'fastify-jwt-session'
      ${examples.find(isGlobal)?.code}
      app.get('/typed', { onRequest: [app.requireClaims({ roles: 'admin' })] }, ({ auth }): string[] => auth.claims.roles)
      // @ts-expect-error the role is not a number
      app.requireClaims({ roles: 1 })
    `
  })
  const at = (name: string): string => join(directory, name)
  const given = Object.keys(surroundings).map(at)
  t.same(faultsOf([...given, ...ordinary.map((_, index) => at(`example-${index}.mts`))]), [])
  t.same(faultsOf([...given, at('typed.mts')]), [])
})

t.test('every example of a doc comment does what it says', async (t) => {
  const chosen = examples.filter(({ name }) => name in proofs)
  const directory = t.testdir(filesOf(chosen, (name) => proofs[name] as Proof))
  const { code, output } = await run(t, join(directory, 'all.mts')).ended()
  t.same(Array.from(output.matchAll(/^proven: (.+)$/gm), ([, name]) => name), chosen.map(({ name }) => name), output)
  t.equal(code, 0)
})

t.test('the example of the kit proves a store', async (t) => {
  const { code } = examples.find(({ name }) => name === KIT) as DocExample
  const directory = t.testdir({ 'around.mjs': AROUND, 'kit.test.mts': code })
  const program = run(t, '--import', join(directory, 'around.mjs'), join(directory, 'kit.test.mts'))
  const [, passed] = await program.printed(/pass (\d+)[^]*fail 0/)
  t.equal(passed, String(conformanceTests({ open: () => { throw new Error('not opened here') } }).length))
})

for (const [name, proof] of Object.entries(proofsWithServer)) {
  t.test(`the example of ${name} does what it says`, async (t) => {
    const skip = await skipReason(engineNamed(proof.engine))
    await t.test('with its server', { skip }, async (t) => {
      const prefix = `${newNamespace()}:`
      const schema = `examples_${randomBytes(6).toString('hex')}`
      const url = new URL(process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/test')
      if (proof.engine === 'postgresql') {
        const pool = new Pool({ connectionString: url.href })
        await pool.query(`create schema ${schema}`)
        t.teardown(async () => { await pool.query(`drop schema ${schema} cascade`); await pool.end() })
        url.searchParams.set('options', `-c search_path=${schema}`)
      }
      const files = filesOf(examples.filter((example) => example.name === name), () => proof)
      const directory = t.testdir({ ...files, 'example-0.mts': (files['example-0.mts'] as string).replaceAll("'shop:", `'${prefix}`) })
      const env = { DATABASE_URL: url.href, REDIS_URL: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379' }
      const { code, output } = await runWith(t, env, join(directory, 'all.mts')).ended()
      t.match(output, `proven: ${name}`)
      t.notMatch(output, 'not proven')
      t.equal(code, 0, output)
    })
  })
}

t.test('everything that can be imported has a doc comment, and every function an example', async (t) => {
  const paths = ['', '/redis', '/postgres', '/conformance', '/client'].map((path) => `fastify-jwt-session${path}`)
  const directory = t.testdir({ 'all.mts': paths.map((path, index) => `import * as module${index} from '${path}'`).join('\n') })
  const program = ts.createProgram([join(directory, 'all.mts')], { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022, types: ['node'], skipLibCheck: true })
  const checker = program.getTypeChecker()
  const source = program.getSourceFile(join(directory, 'all.mts')) as ts.SourceFile
  for (const statement of source.statements as Iterable<ts.Statement> as Iterable<ts.ImportDeclaration>) {
    const path = (statement.moduleSpecifier as ts.StringLiteral).text
    const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(statement.moduleSpecifier) as ts.Symbol)
    t.ok(exported.length > 0, path)
    for (const alias of exported) {
      const symbol = alias.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(alias) : alias
      t.not(ts.displayPartsToString(symbol.getDocumentationComment(checker)), '', `${path} ${alias.name}`)
      const isFunction = checker.getTypeOfSymbolAtLocation(symbol, source).getCallSignatures().length > 0 && symbol.flags & ts.SymbolFlags.Value
      if (isFunction) t.ok(symbol.getJsDocTags(checker).some(({ name }) => name === 'example'), `${path} ${alias.name} has an example`)
    }
  }
})

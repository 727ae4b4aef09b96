import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import Fastify from 'fastify'
import t from 'tap'
import jwtSession from '../lib'
import { clientOf, lookupIn, makeUsers, plainPasswords } from './support/app'
import { makeKey } from './support/keys'

const root = join(__dirname, '..')

/** How many statements there are of each letter: what RFCs, OWASP, NIST and the advisories of others ask of a package like this one. */
const COUNTS: Readonly<Record<string, number>> = { A: 19, B: 18, C: 17, D: 19, E: 20, F: 11, G: 10, H: 6, I: 10 }

const statements = Object.entries(COUNTS).flatMap(([letter, count]) => Array.from({ length: count }, (_, index) => `${letter}${index + 1}`))

/** The ids that names of tests begin with, as in `t.test('A1, A2: …`. A number of 0 says that what the others send would pass if it were sound. */
const tested = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .flatMap((name) => Array.from(readFileSync(join(root, 'test', name), 'utf8').matchAll(/\bt\.test\(\s*['"`]((?:[A-Z]\d+, )*[A-Z]\d+): /g), ([, ids]) => (ids as string).split(', ')))
  .flat()
  .filter((id) => !id.endsWith('0') || /[1-9]0$/.test(id))

/** The ids in the table of SECURITY.md. */
const excused = Array.from(readFileSync(join(root, 'SECURITY.md'), 'utf8').matchAll(/^\| ([A-Z]\d+) \| [^|]+ \| [^|]+ \|$/gm), ([, id]) => id as string)

t.test('every statement has tests of its name, or a line in SECURITY.md that says why it does not apply', async (t) => {
  t.equal(statements.length, 130)
  t.same(statements.filter((id) => !tested.includes(id) && !excused.includes(id)), [], 'neither')
  t.same(excused.filter((id) => tested.includes(id)), [], 'both')
  t.same(excused, [...new Set(excused)], 'twice')
})

t.test('no test and no line has the id of a statement that there is not', async (t) => {
  t.same([...tested, ...excused].filter((id) => !statements.includes(id)), [])
})

t.test('what SECURITY.md says is not offered is not', async (t) => {
  const routes: string[] = []
  const app = Fastify()
  t.teardown(() => app.close())
  app.addHook('onRoute', ({ method, url }) => { if (method !== 'HEAD') routes.push(`${[method].flat().join()} ${url}`) })
  await app.register(jwtSession, {
    keys: [makeKey('EdDSA', 'one').option],
    userLookup: { ...lookupIn(makeUsers()), create: () => null },
    passwords: plainPasswords,
    locations: ['header', 'cookie'],
    routes: { register: true, sessions: true, jwks: true },
    claims: (_user, { reason }) => reason === 'login' ? {} : { cnf: { jkt: 'x' } }
  })
  t.same(routes.sort(), ['DELETE /sessions/:id', 'GET /.well-known/jwks.json', 'GET /sessions', 'POST /login', 'POST /logout', 'POST /refresh', 'POST /register'], 'all there is')
  const client = clientOf(app)
  const tokens = await client.login()
  t.equal(tokens.token_type, 'Bearer')
  t.equal((await client.refresh(tokens.refresh_token)).code, 'OPTION_INVALID', 'no token can say that it is bound to a key')
})

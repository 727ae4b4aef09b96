import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import jwtSession from '../lib'
import { sessionError, sessionErrors } from '../lib/errors'
import { eventNames } from '../lib/events'
import { readOptions } from '../lib/options'

const root = join(__dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const files = (folder: string) => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.endsWith('.tst.ts'))
  .map((name) => `${folder}/${name.slice(0, -3)}`)
  .sort()

/** The rings: a file imports only from lower rings, and from its own where the row says so. */
const rings: { files: RegExp, own?: boolean }[] = [
  { files: /^types\/|^lib\/(?:errors|schemas|clock|frozen|awaitable|record|segments|address|limiter|eviction|seats)$/, own: true },
  { files: /^lib\/stores\/subscription$/ },
  { files: /^lib\/(?:stores\/.*|transports\/.*|passwords\/.*|policy|claims|csrf|events|secrets|option-values|header-fields|users|client|conformance.*)$/ },
  { files: /^lib\/(?:engine|keys|key-ring|jwk-set|remote-keys)$/, own: true },
  { files: /^lib\/(?:sessions|tokens|route-options|transport-options|throttle)$/ },
  { files: /^lib\/(?:parts|token-memory|issue|access|delivery|login|credentials|register|refresh|hooks|one-time-tokens|openapi|protect-all|jwt-session|routes\/.*)$/, own: true },
  { files: /^lib\/(?:options|verify-only)$/, own: true },
  { files: /^lib\/index$/ }
]

/** One store, or the kit, in several files. */
const familyOf = (file: string) => /^lib\/(?:stores\/)?(redis|postgres|conformance|passwords)\b/.exec(file)?.[1] ?? file

const ringOf = (file: string) => rings.findIndex(({ files }) => files.test(file))

const importsOf = (file: string) => Array.from(read(`${file}.ts`).matchAll(/(?:from|require\() ?'(\.[^']*)'/g), ([, path]) => {
  const target = relative(root, join(root, dirname(file), path as string))
  return [target, `${target}/index`].find((name) => all.includes(name)) ?? target
})

const all = [...files('types'), ...files('lib')]

t.test('every file has a ring, and imports only from lower ones', async (t) => {
  for (const file of all) {
    const ring = ringOf(file)
    t.ok(ring >= 0, `${file} has a ring`)
    for (const target of importsOf(file)) {
      const isLower = ringOf(target) < ring || (ringOf(target) === ring && (rings[ring]?.own || familyOf(target) === familyOf(file)))
      t.ok(isLower, `${file} imports ${target}`)
    }
  }
})

t.test('types hold no code, routes know no store, nothing but the root imports the library of tokens', async (t) => {
  for (const file of files('types')) t.notMatch(read(`${file}.ts`), /^(?:export )?(?:async )?(?:const|let|function|class|enum) /m, file)
  for (const file of files('lib/routes')) t.notMatch(read(`${file}.ts`), /stores\//, file)
  for (const file of all.filter((name) => name !== 'lib/engine')) t.notMatch(read(`${file}.ts`), /from '(?:@fastify\/jwt|fast-jwt)'/, file)
})

t.test('files are short', async (t) => {
  const lengths = all.map((file) => read(`${file}.ts`).split('\n').length).sort((one, other) => one - other)
  t.ok((lengths[Math.floor(lengths.length / 2)] as number) < 90, 'the median')
  t.ok((lengths.at(-1) as number) <= 250, 'the longest')
})

t.test('every file of lib is loaded, so that coverage counts it', async (t) => {
  for (const file of files('lib')) t.ok(await import(join(root, `${file}.ts`)), file)
})

t.test('every exported thing has a doc comment', async (t) => {
  for (const file of files('types').filter((name) => !name.endsWith('/index'))) {
    const text = read(`${file}.ts`)
    for (const [declaration] of text.matchAll(/^export (?:interface|type) \w+/gm)) {
      const before = text.slice(0, text.indexOf(declaration)).trimEnd()
      t.ok(before.endsWith('*/'), `${file}: ${declaration}`)
    }
  }
})

t.test('every error says its status, its message and its challenge', async (t) => {
  for (const [name, [status, message, challenge]] of Object.entries(sessionErrors)) {
    const error = sessionError(name as keyof typeof sessionErrors)
    t.match(error, { code: `FST_JWT_SESSION_${name}`, statusCode: status, message })
    t.equal(error.headers['www-authenticate'] ?? null, challenge)
    t.equal(error.headers['cache-control'], 'no-store')
    t.equal(error.headers['retry-after'], status === 503 || status === 429 ? '1' : undefined)
    if (status === 401) t.match(String(challenge), /^Bearer/)
    if (challenge !== null) t.match(challenge, /^[\x20-\x7e]+$/)
  }
})

t.test('README has every error with its status, and none that is not', async (t) => {
  const readme = read('README.md')
  const table = Array.from(readme.matchAll(/^\| `([A-Z_]+)` \| (\d+)/gm), ([, name, status]) => `${name} ${status}`)
  t.same(table.sort(), Object.entries(sessionErrors).map(([name, [status]]) => `${name} ${status}`).sort())
})

t.test('README has every example, and none that is not', async (t) => {
  const table = Array.from(read('README.md').matchAll(/^\| \[`([\w-]+\.ts)`\]\(examples\/\1\) \|/gm), ([, name]) => name)
  t.same(table.sort(), readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.ts')).sort())
})

t.test('README has every event with all that it tells, and none that is not', async (t) => {
  const file = join(root, 'types/events.ts')
  const program = ts.createProgram([file], { strict: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.Node16 })
  const checker = program.getTypeChecker()
  const map = program.getSourceFile(file)?.statements.find((node) => ts.isInterfaceDeclaration(node) && node.name.text === 'SessionEventMap')
  const declared = checker.getTypeAtLocation(map as ts.Node).getProperties().map((event) =>
    `${event.name}: ${checker.getTypeOfSymbol(event).getProperties().map(({ name }) => name).sort().join(' ')}`)

  const [, rows = ''] = /^\| event \| tells \| when \|\n.*\n((?:\|.*\n)+)/m.exec(read('README.md')) ?? []
  const table = Array.from(rows.matchAll(/^\| `([a-z.]+)` \| ([^|]+) \|/gm), ([, name, tells]) =>
    `${name}: ${Array.from((tells as string).matchAll(/`(\w+)`/g), ([, member]) => member).sort().join(' ')}`)
  t.same(table.sort(), declared.sort())
  t.same(table.map((row) => row.split(':')[0]), [...eventNames].sort())
})

t.test('README has every option, and none that is not', async (t) => {
  const chapter = read('README.md').split(/^### /m).find((text) => text.startsWith('Options\n')) as string
  const table = Array.from(chapter.matchAll(/^\| `([a-z][\w.]*)` \|/gim), ([, name]) => name as string)
  const known = namesIn({ nothing: true })
  t.ok(known.length > 10)
  t.same(Array.from(new Set(table.map((entry) => entry.split('.')[0]))).sort(), known.sort())
})

/** The names that a refusal of an unknown one lists. */
function namesIn (options: object): string[] {
  try {
    readOptions(options as never)
  } catch (error) {
    const { message } = error as Error
    return message.slice(message.indexOf('There are ') + 10, -1).split(', ')
  }
  return []
}

t.test('README has every member of the options of the transport, and none that is not', async (t) => {
  const chapter = read('README.md').split(/^### /m).find((text) => text.startsWith('Options of cookies\n')) as string
  const valid = { secret: 'k7QmT2vX9dLr4WzB8nHc3YpJ6sFg1AeU', userLookup: { findByUsername: () => null, findById: () => null }, locations: ['cookie'] }
  for (const group of ['cookie', 'csrf']) {
    const table = Array.from(chapter.matchAll(new RegExp(`^\\| \`${group}\\.(\\w+)\` \\|`, 'gm')), ([, name]) => name)
    t.same(table.sort(), namesIn({ ...valid, [group]: { nothing: true } }).sort(), group)
  }
})

t.test('package.json exports what the namespace declares', async (t) => {
  const declared = Array.from(read('lib/index.ts').matchAll(/^ {2}export import ([a-z]\w+) =/gm), ([, name]) => name as string)
  for (const name of declared) t.equal(typeof (jwtSession as unknown as Record<string, unknown>)[name] === 'undefined', false, name)
  const assigned = Array.from(read('lib/index.ts').matchAll(/^module\.exports\.(\w+) =/gm), ([, name]) => name)
  t.same(assigned.filter((name) => name !== 'default' && name !== 'fastifyJwtSession').sort(), declared.sort())
})

t.test('the API reference shows what the namespace declares', async (t) => {
  const values = (text: string, pattern: RegExp) => Array.from(text.matchAll(pattern), ([, names]) => (names as string).split(/, /))
    .flat().filter((name) => !name.startsWith('type ')).sort()
  t.same(values(read('docs/reference.ts'), /^export \{ (.+) \} from/gm), values(read('lib/index.ts'), /^ {2}export import ([a-z]\w+) =/gm))
})

t.test('the client is one file, whatever loads it', async (t) => {
  t.same(importsOf('lib/client'), [])
  t.notMatch(read('lib/client.ts'), /^import|\brequire\(/m)
})

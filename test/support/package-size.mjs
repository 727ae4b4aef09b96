// Watches what a user installs: which files, how many bytes, whose code. A bound that no longer fits is raised here, on purpose.
import assert from 'node:assert'
import { execSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { transformSync } from 'esbuild'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const FILES = /^(?:dist\/(?:lib|types|esm)\/.*\.(?:js|js\.map|d\.ts)|dist\/esm\/package\.json|(?:CHANGELOG|README|SECURITY)\.md|LICENSE|package\.json)$/
const PACKED = 345_000
const UNPACKED = 1_240_000
const CLIENT = 2000
const DEPENDENCIES = ['@fastify/jwt', '@fastify/sensible', '@sinclair/typebox', 'bcryptjs', 'fastify-plugin', 'piscina', 'rate-limiter-flexible']

const read = (path) => readFileSync(join(ROOT, path), 'utf8')

// Builds, as publishing does.
const [{ files, size, unpackedSize }] = JSON.parse(execSync('npm pack --dry-run --json', { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
const paths = files.map(({ path }) => path)
assert.deepStrictEqual(paths.filter((path) => !FILES.test(path)), [], 'nothing is published that nobody needs')
for (const name of ['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md', 'package.json']) assert(paths.includes(name), `${name} is published`)
console.log(`ok ${paths.length} files`)

assert(size < PACKED, `${size} bytes packed are more than ${PACKED}`)
assert(unpackedSize < UNPACKED, `${unpackedSize} bytes are more than ${UNPACKED}`)
console.log(`ok ${size} bytes packed, ${unpackedSize} unpacked`)

for (const path of paths.filter((name) => name.endsWith('.js'))) {
  const { sources, sourcesContent } = JSON.parse(read(`${path}.map`))
  assert.strictEqual(sourcesContent?.length, sources.length, `the map of ${path} holds its source`)
}
console.log('ok every source map holds its source')

assert.deepStrictEqual(Object.keys(JSON.parse(read('package.json')).dependencies).sort(), DEPENDENCIES)
console.log(`ok ${DEPENDENCIES.length} dependencies`)

// Without comments, whose examples import.
const { code } = transformSync(read('dist/esm/client.js'), { minify: true, format: 'esm', target: 'es2022' })
assert.doesNotMatch(code, /\b(?:import|require)\b\s*[({'"]|\bfrom\s*['"]/, 'the client stands alone')
const { length } = code.trim()
assert(length < CLIENT, `${length} bytes of client are more than ${CLIENT}`)
console.log(`ok ${length} bytes of client, minified`)

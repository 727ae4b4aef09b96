/**
 * Mutation testing: changes lib in small ways, one at a time, and runs the tests that ought to notice. A change that none of them
 * notices survives, and is either a promise without a test, code without a purpose, or a change that changes nothing.
 *
 *     npm run mutation                     every group
 *     npm run mutation -- hooks tokens     these
 *     npm run mutation -- lib/hooks.ts lib/policy.ts:20-30     these files, these lines
 *
 * Reports are in `.stryker`. No Redis and no PostgreSQL are asked: tests on them are skipped.
 */
import { Stryker } from '@stryker-mutator/core'

/** For each group the files that are changed, and the few test files that answer for them; of all the tests this takes days. */
const groups = {
  sessions: {
    mutate: ['lib/sessions.ts', 'lib/policy.ts'],
    tests: ['units/policy', 'units/sessions', 'flows/session', 'flows/one-time-tokens']
  },
  tokens: {
    mutate: ['lib/tokens.ts'],
    tests: ['units/tokens', 'flows/one-time-tokens', 'flows/guards']
  },
  hooks: {
    mutate: ['lib/hooks.ts'],
    tests: ['flows/guards', 'flows/host', 'flows/session']
  },
  passwords: {
    mutate: ['lib/passwords/*.ts'],
    tests: ['units/queue', 'units/threads', 'units/bcrypt', 'units/scrypt']
  },
  transports: {
    mutate: ['lib/transports/*.ts'],
    tests: ['units/locations', 'units/transport-options', 'flows/openapi', 'flows/guards', 'flows/cookies']
  },
  access: {
    mutate: ['lib/access.ts', 'lib/csrf.ts'],
    tests: ['units/csrf', 'flows/guards', 'flows/cookies', 'flows/token-memory', 'flows/refusals']
  },
  keys: {
    mutate: ['lib/key-ring.ts', 'lib/token-memory.ts'],
    tests: ['units/keys', 'units/tokens', 'units/token-memory', 'flows/keys', 'flows/token-memory']
  }
}

/** The group that an argument names, or that the file belongs to. */
const groupOf = (argument) => Object.keys(groups).find((name) =>
  name === argument || groups[name].mutate.some((pattern) => argument.startsWith(pattern.replace('*.ts', ''))))

const wanted = new Map()
for (const argument of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(groups)) {
  const name = groupOf(argument)
  if (name === undefined) {
    console.error(`Nothing is known of ${argument}. There are ${Object.keys(groups).join(', ')} and their files`)
    process.exit(1)
  }
  wanted.set(name, [...wanted.get(name) ?? [], ...(name === argument ? groups[name].mutate : [argument])])
}

// Nothing answers there. A test that waits is ended by Stryker.
Object.assign(process.env, { REDIS_URL: 'redis://127.0.0.1:1', DATABASE_URL: 'postgres://postgres@127.0.0.1:1/test', TAP_TIMEOUT: '600' })
delete process.env.CI

for (const [name, mutate] of wanted) {
  await new Stryker({
    mutate,
    concurrency: 2,
    // The tests are compiled with what they test, once, and run in plain node: a child process finds the changed package in `dist`.
    buildCommand: 'esbuild lib/**/*.ts types/**/*.ts test/**/*.ts --outdir=dist --outbase=. --format=cjs --platform=node --target=es2022 --log-level=error',
    testRunner: 'tap',
    tap: { testFiles: groups[name].tests.map((file) => `dist/test/${file}.test.js`), nodeArgs: ['-r', '{{hookFile}}', '{{testFile}}'] },
    plugins: ['@stryker-mutator/tap-runner', './test/mutation/messages.mjs'],
    // The only changes that are left out: messages of errors for developers, where every word would be one.
    ignorers: ['messages'],
    ignorePatterns: ['**', '!lib/**', '!types/**', '!test/**', '!package.json', '!tsconfig.json'],
    // What is asked for is run anew, and the report keeps what is known of the rest.
    incremental: true,
    force: true,
    incrementalFile: `.stryker/${name}.incremental.json`,
    tempDirName: '.stryker/tmp',
    reporters: ['progress-append-only', 'clear-text', 'json', 'html'],
    clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
    jsonReporter: { fileName: `.stryker/${name}.json` },
    htmlReporter: { fileName: `.stryker/${name}.html` },
    timeoutMS: 10_000,
    allowEmpty: true
  }).runMutationTest()
}

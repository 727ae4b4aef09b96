import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { auditLogs } from './support/log-audit'
import { runWith } from './support/program'

t.test('the audit of the logs names every kind of secret that is logged, and nothing else', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'audit-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const env = { AUDIT_LOGS: folder, NODE_OPTIONS: `--require ${join(__dirname, 'support/trace-logs.cjs')}` }
  const { code, output } = await runWith(t, env, 'test/support/leaky-app.ts').ended()
  t.equal(code, 0, output)
  t.match(output, 'for the application')
  t.notMatch(output, 'leak', "the application's own log has the level that it asked for")

  const { findings, programs } = auditLogs(folder)
  t.equal(programs, 1)
  const found = new Map<string, Set<string>>()
  for (const { line, kind } of findings) {
    const leak = /leak: (.*)$/m.exec(line)?.[1] ?? line
    found.set(leak, (found.get(leak) ?? new Set()).add(kind))
  }
  const kinds = Object.fromEntries(Array.from(found, ([leak, kinds]) => [leak, Array.from(kinds).sort().join()]))
  t.same(kinds, {
    'access token': 'signature,token',
    'refresh token': 'signature,token',
    'signature alone': 'signature',
    'right password': 'password',
    'wrong password': 'password',
    'hash of the tests': 'hash,password',
    'bcrypt hash': 'hash',
    'scrypt hash': 'hash',
    secret: 'secret',
    'secret in base64': 'secret',
    'private key in PEM': 'private key',
    'private key in JWK': 'private key',
    'private key alone': 'private key',
    cookie: 'cookie,signature,token',
    'csrf token': 'csrf'
  })
})

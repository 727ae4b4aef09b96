// Runs the suites with every logger at trace, and looks for secrets in all that was logged: `npm run audit:logs`, or with the files of
// some suites. What the tests themselves come to does not matter here. The code is 1 if there was a secret, or nothing to look through.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { auditLogs } from './log-audit'

const folder = mkdtempSync(join(tmpdir(), 'audit-logs-'))
// What is cut off logs nothing, and to write it all down takes time.
const { stdout } = spawnSync('npx', ['tap', '--disable-coverage', '--timeout=900', '--reporter=./test/support/summary.mjs', ...process.argv.slice(2)], {
  stdio: ['ignore', 'pipe', 'ignore'],
  encoding: 'utf8',
  maxBuffer: 2 ** 30,
  env: { ...process.env, AUDIT_LOGS: folder, NODE_OPTIONS: `--require ${join(__dirname, 'trace-logs.cjs')}` }
})
const { findings, programs, lines, looked } = auditLogs(folder)
for (const { program, kind, found, line } of findings) console.log(`${program}: a ${kind}, ${found}…, in:\n  ${line.replaceAll('\n', '\n  ')}`)
const counts = Object.entries(looked).map(([kind, count]) => `${count} ${kind}`).join(', ')
console.log(`${stdout.trim().split('\n').at(-1)}. ${lines} lines of ${programs} programs were looked through for tokens, hashes and keys by their form and for ${counts}: ${findings.length} findings`)
if (findings.length === 0) rmSync(folder, { recursive: true, force: true })
else console.log(`All of it is in ${folder}`)
process.exitCode = findings.length === 0 && lines > 0 ? 0 : 1

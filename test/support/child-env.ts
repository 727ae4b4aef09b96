import { join } from 'node:path'

/**
 * The environment of this process, without what the test runner put there: a child that is stopped while it writes its coverage
 * would spoil that of all. What audits the logs goes on in the child.
 */
export function childEnv (): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(?:NODE_OPTIONS|NODE_V8_COVERAGE|JWT_SECRET|_?TAP.*)$/.test(name))
  const audit = process.env.AUDIT_LOGS === undefined ? {} : { NODE_OPTIONS: `--require ${join(__dirname, 'trace-logs.cjs')}` }
  return { ...Object.fromEntries(own), ...audit, _TAPJS_PROCESSINFO_COVERAGE_: '0' }
}

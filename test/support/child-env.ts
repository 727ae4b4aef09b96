/**
 * The environment of this process, without what the test runner put there: a child that is stopped while it writes its coverage
 * would spoil that of all.
 */
export function childEnv (): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(?:NODE_OPTIONS|NODE_V8_COVERAGE|JWT_SECRET|_?TAP.*)$/.test(name))
  return { ...Object.fromEntries(own), _TAPJS_PROCESSINFO_COVERAGE_: '0' }
}

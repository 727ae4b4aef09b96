// Every test answers for every file of lib, and for nothing else. Where servers may be missing, their stores are left out: CI has them.
import { readdirSync } from 'node:fs'

const needsServer = /^stores\/(?:redis|postgres)/

export default () => readdirSync('lib', { recursive: true })
  .filter((name) => name.endsWith('.ts') && (process.env.CI || !needsServer.test(name)))
  .map((name) => `lib/${name}`)

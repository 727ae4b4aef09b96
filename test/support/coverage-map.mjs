// Every test answers for every file of lib, and for nothing else.
import { readdirSync } from 'node:fs'

export default () => readdirSync('lib', { recursive: true }).filter((name) => name.endsWith('.ts')).map((name) => `lib/${name}`)

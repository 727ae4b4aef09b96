import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

/** What was found in a log that must not be there. */
export interface Finding {
  /** The program that logged it. */
  readonly program: string
  readonly kind: string
  /** Its beginning. */
  readonly found: string
  readonly line: string
}

export interface Audit {
  readonly findings: Finding[]
  readonly programs: number
  readonly lines: number
  /** How many values of each kind were looked for. */
  readonly looked: Readonly<Record<string, number>>
}

/** What tests bring about on purpose: lines whose message is like this do not count. */
const EXCUSED: readonly { readonly program: string, readonly message: RegExp, readonly reason: string }[] = [{
  program: 'hostile.test.ts',
  message: /^Route [A-Z]+:\/(?:login|refresh|logout)\?\S* not found$/,
  reason: 'It puts credentials into the address of a route that is not there, and Fastify logs the address of what it does not find.'
}]

const JWT = /[\w-]{8,}\.[\w-]{2,}\.[\w-]*/g
/** What a secret may consist of that is looked for as a whole. */
const RUN = /[\w.+/=~-]{16,}/g
const SHAPES: readonly (readonly [kind: string, shape: RegExp])[] = [
  ['hash', /\$2[abxy]\$\d\d\$[./A-Za-z0-9]{8,}/],
  ['hash', /\$(?:scrypt|argon2\w*|pbkdf2[\w-]*)\$\S+/],
  ['hash', /\bplain:\S+/],
  ['private key', /-----BEGIN [A-Z ]*PRIVATE KEY-----/]
]
/** Shorter ones stand in every text, and up to here it would be chance if they are not all of it. */
const SHORTEST_PASSWORD = 4
const LONG_PASSWORD = 8
/** A guess that is the name of a field, too. */
const WORD = 'password'

/** Looks through what trace-logs.cjs has written. */
export function auditLogs (folder: string): Audit {
  const files = readdirSync(folder)
  const secrets = new Map<string, string>()
  for (const name of files.filter((file) => file.endsWith('.secrets'))) {
    for (const line of linesOf(join(folder, name))) {
      const { kind, value } = JSON.parse(line) as { kind: string, value: string }
      if (kind === 'password' && value.length >= SHORTEST_PASSWORD && value !== WORD) secrets.set(value, kind)
      else if (kind !== 'password' && value.length >= 16) secrets.set(value, kind)
      // The last part of a token is enough to know the rest by.
      const signature = isToken(value) ? value.slice(value.lastIndexOf('.') + 1) : ''
      if (signature.length >= 16) secrets.set(signature, 'signature')
    }
  }
  const passwords = Array.from(secrets).filter(([, kind]) => kind === 'password').map(([value]) => value)
  const looked: Record<string, number> = {}
  for (const kind of secrets.values()) looked[kind] = (looked[kind] ?? 0) + 1

  const findings: Finding[] = []
  let [programs, lines] = [0, 0]
  for (const name of files.filter((file) => file.endsWith('.log'))) {
    const [head, ...rest] = linesOf(join(folder, name))
    const program = basename((JSON.parse(head as string) as { program: string }).program)
    programs++
    lines += rest.length
    // Most lines differ in their times and numbers only.
    const excused = EXCUSED.filter((one) => one.program === program)
    for (const text of new Set(rest.map((line) => textOf(JSON.parse(line) as Record<string, unknown>)))) {
      if (excused.some(({ message }) => message.test(text.split('\n', 1)[0] as string))) continue
      for (const [kind, found] of secretsIn(text, secrets, passwords)) {
        findings.push({ program, kind, found: found.slice(0, 24), line: text.slice(0, 300) })
      }
    }
  }
  return { findings, programs, lines, looked }
}

function linesOf (path: string): string[] {
  return readFileSync(path, 'utf8').split('\n').filter((line) => line !== '')
}

/** The message of a line and all its names and values, one a row, without what Fastify says of every request: when, from where and of which address. */
function textOf ({ time, pid, hostname, reqId, responseTime, req, msg, ...rest }: Record<string, unknown>): string {
  return [...rowsOf(msg), ...rowsOf(rest)].join('\n')
}

function rowsOf (value: unknown, name = ''): string[] {
  if (typeof value === 'object' && value !== null) return Object.entries(value).flatMap(([member, inner]) => [member, ...rowsOf(inner, member)])
  const text = String(value)
  // The private members of a JSON Web Key.
  return (name === 'd' || name === 'k') && text.length >= 20 ? [`-----BEGIN PRIVATE KEY----- in ${name}`, text] : [text]
}

function * secretsIn (text: string, secrets: ReadonlyMap<string, string>, passwords: readonly string[]): Generator<readonly [kind: string, found: string]> {
  for (const [token] of text.matchAll(JWT)) if (isToken(token)) yield ['token', token]
  for (const [kind, shape] of SHAPES) {
    const [found] = shape.exec(text) ?? []
    if (found !== undefined) yield [kind, found]
  }
  for (const [run] of text.matchAll(RUN)) {
    for (const part of new Set([run, run.slice(run.indexOf('=') + 1), ...run.split(/[.=]/)])) {
      const kind = secrets.get(part)
      if (kind !== undefined) yield [kind, part]
    }
  }
  const rows = new Set(text.split('\n'))
  for (const password of passwords) {
    if (rows.has(password) || (password.length >= LONG_PASSWORD && text.includes(password))) yield ['password', password]
  }
}

/** Whether a text has the header of a token. */
function isToken (text: string): boolean {
  const [header = '', , signature] = text.split('.')
  if (signature === undefined) return false
  try {
    const { alg, typ } = JSON.parse(Buffer.from(header, 'base64url').toString()) as { alg?: unknown, typ?: unknown }
    return alg !== undefined || typ !== undefined
  } catch {
    return false
  }
}

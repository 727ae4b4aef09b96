import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Test } from 'tap'
import { childEnv } from './child-env'

const ROOT = join(__dirname, '..', '..')

/** A program that runs in a process of its own. */
export interface Program {
  /** Waits for the first match of a pattern in what the program prints. */
  printed (pattern: RegExp): Promise<RegExpMatchArray>
  /** Sends a signal, and answers the code that the program ends with. */
  stop (signal: NodeJS.Signals): Promise<number | null>
  /** The code that the program ends with by itself, and all that it printed. */
  ended (): Promise<{ code: number | null, output: string }>
}

/** Runs a program as `npm start` does, at a free port, and without the loaders of tap, which would measure it too. */
export function run (t: Test, ...args: string[]): Program {
  return runWith(t, {}, ...args)
}

/** The same, with some variables of the environment. */
export function runWith (t: Test, env: NodeJS.ProcessEnv, ...args: string[]): Program {
  const child = spawn(process.execPath, ['--import', 'tsx', ...args], { cwd: ROOT, env: { ...childEnv(), PORT: '0', ...env } })
  const ended = once(child, 'close').then(([code]) => code as number | null)
  t.teardown(() => { child.kill('SIGKILL') })

  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => { output += text })
  return {
    async printed (pattern) {
      for (;;) {
        const match = pattern.exec(output)
        if (match !== null) return match
        const code = await Promise.race([ended, once(child.stdout, 'data').then(() => 'more')])
        if (code !== 'more' && !pattern.test(output)) throw new Error(`The program ended with ${code}: ${output}`)
      }
    },
    async stop (signal) {
      child.kill(signal)
      return await ended
    },
    async ended () {
      return { code: await ended, output }
    }
  }
}

/** What a route answered. */
export interface Answer {
  status: number
  code: string | undefined
  body: { access_token: string, refresh_token: string, [member: string]: unknown }
}

/** Calls the routes of a program at an address. */
export function clientOf (address: string) {
  async function send (method: string, path: string, token: string | undefined, body: object | undefined): Promise<Answer> {
    const response = await fetch(address + path, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' })
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    const text = await response.text()
    const answer = text.startsWith('{') ? JSON.parse(text) : { text }
    return { status: response.status, code: answer.code?.replace('FST_JWT_SESSION_', ''), body: answer }
  }
  return {
    get: (path: string, token?: string) => send('GET', path, token, undefined),
    login: (username: string, password: string) => send('POST', '/login', undefined, { username, password }),
    register: (username: string, password: string) => send('POST', '/register', undefined, { username, password }),
    refresh: (token: string) => send('POST', '/refresh', undefined, { refresh_token: token }),
    logout: (token: string) => send('POST', '/logout', token, undefined)
  }
}

/** Why the lines that an example prints cannot be pasted here, or `false`. */
export const skipPasting = !['sh', 'curl'].every((tool) => spawnSync(tool, ['-c', 'true']).error === undefined) && 'needs sh and curl'

/** Runs the lines that an example prints for that, and answers what became of them. */
export async function paste (guide: string): Promise<{ code: number, statuses: string[], output: string }> {
  const lines = guide.split('\n').filter((line) => /^ {2}(?:\w+=|\w+ \(\)|curl |change)/.test(line))
  const shell = spawn('sh', ['-e'], { stdio: ['pipe', 'pipe', 'ignore'] })
  let output = ''
  shell.stdout.setEncoding('utf8').on('data', (text: string) => { output += text })
  shell.stdin.end(lines.join('\n') + '\n')
  const [code] = await once(shell, 'close')
  return { code, output, statuses: Array.from(output.matchAll(/^HTTP\/1.1 (\d+)/gm), ([, status]) => status as string) }
}

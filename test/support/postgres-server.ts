import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { chownSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './proxy'

/** A PostgreSQL server of one test, which may do anything to it. */
export interface PostgresServer {
  readonly port: number
  readonly url: string
  start (): Promise<void>
  /** `immediate` is a crash: connections are cut and nothing is tidied up; with `kill -9` not even that is done by the server itself. */
  stop (how: 'immediate' | 'fast' | 'kill -9'): Promise<void>
  /** Stops every process of the server where it stands; sockets stay open. */
  pause (): void
  resume (): void
  /** Stops the server and removes its files. */
  remove (): Promise<void>
}

/** Makes and starts a server with a new data folder; `undefined` where that is not possible. */
export async function postgresServer (): Promise<PostgresServer | undefined> {
  const programs = programsFolder()
  const user = otherUser()
  if (programs === undefined || user === undefined) return undefined
  const folder = mkdtempSync(join(tmpdir(), 'postgres-'))
  if (user.id !== undefined) chownSync(folder, user.id, user.group)
  const port = await freePort()
  const files = join(folder, 'data')
  const [initdb, ...rest] = [...user.command, join(programs, 'initdb'), '-D', files, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync']
  execFileSync(initdb as string, rest, { stdio: 'ignore', cwd: folder, env: { ...process.env, LC_ALL: 'C' } })

  let running: ChildProcess | undefined
  const settings = ['listen_addresses=127.0.0.1', `port=${port}`, `unix_socket_directories=${folder}`, 'fsync=off', 'max_connections=50']

  async function start (): Promise<void> {
    const [command, ...args] = [...user?.command as string[], join(programs as string, 'postgres'), '-D', files, ...settings.flatMap((setting) => ['-c', setting])]
    running = spawn(command as string, args, { stdio: 'ignore', cwd: folder })
    for (let attempt = 0; attempt < 200; attempt++) {
      if (await accepts(port)) return
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
    throw new Error('The server did not start')
  }

  async function stop (how: 'immediate' | 'fast' | 'kill -9'): Promise<void> {
    const child = running
    if (child === undefined) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    if (how === 'kill -9') signal('SIGKILL')
    else child.kill(how === 'immediate' ? 'SIGQUIT' : 'SIGINT')
    running = undefined
    await ended
  }

  function signal (name: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    const { pid } = running as { pid: number }
    // The parent first, so that it makes no more children, and none is looked for when it is gone.
    process.kill(pid, 'SIGSTOP')
    const children = execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' }).trim().split(/\s+/).map(Number)
    if (name !== 'SIGSTOP') process.kill(pid, name)
    for (const child of children) {
      try {
        process.kill(child, name)
      } catch {
        // It has ended meanwhile.
      }
    }
  }

  const server: PostgresServer = {
    port,
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    start,
    stop,
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    async remove () {
      if (running !== undefined) signal('SIGCONT')
      await stop('immediate')
      rmSync(folder, { recursive: true, force: true })
    }
  }
  await start()
  return server
}

function programsFolder (): string | undefined {
  const root = '/usr/lib/postgresql'
  const installed = list(root).sort((one, other) => Number(other) - Number(one)).map((version) => join(root, version, 'bin'))
  return [...installed, ...(process.env.PATH ?? '').split(':')].find((folder) => {
    const names = list(folder)
    return names.includes('initdb') && names.includes('postgres')
  })
}

/** Who runs what refuses to run as root; `undefined` where there is nobody. */
export function otherUser (): { command: string[], id?: number, group: number } | undefined {
  if (process.getuid?.() !== 0) return { command: [], group: 0 }
  try {
    const idOf = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
    execFileSync('setpriv', ['--version'], { stdio: 'ignore' })
    const [id, group] = [idOf('-u'), idOf('-g')]
    return { command: ['setpriv', `--reuid=${id}`, `--regid=${group}`, '--clear-groups'], id, group }
  } catch {
    return undefined
  }
}

function list (folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** Whether the server answers a start message with something else than "the database system is starting up". */
function accepts (port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => {
      const parameters = Buffer.from('user\0postgres\0database\0postgres\0\0')
      const head = Buffer.alloc(8)
      head.writeInt32BE(8 + parameters.length, 0)
      head.writeInt32BE(196608, 4)
      socket.write(Buffer.concat([head, parameters]))
    })
    socket.on('data', (answer) => {
      socket.destroy()
      resolve(answer[0] === 'R'.charCodeAt(0))
    })
    socket.on('error', () => resolve(false))
    socket.on('close', () => resolve(false))
  })
}

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './proxy'
import type { Test } from 'tap'

/** The servers that are installed. In CI at least one has to be. */
export const installed = ['redis-server', 'valkey-server'].filter((name) => spawnSync(name, ['--version']).status === 0)

if (installed.length === 0 && process.env.CI === 'true') throw new Error('CI needs redis-server or valkey-server')

/** A server of the test's own. */
export interface PrivateServer {
  readonly port: number
  /** Starts it once more, on the same port and in the same folder. */
  restart (): Promise<void>
  stop (): Promise<void>
  kill9 (): Promise<void>
  pause (): void
  resume (): void
}

/** Starts a server without persistence on a free port; `args` may say otherwise. It ends with the test. */
export async function startRedis (t: Pick<Test, 'teardown'>, { binary = installed[0] as string, args = [] as string[] } = {}): Promise<PrivateServer> {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'fjs-redis-'))
  let child: ChildProcess

  async function run (): Promise<void> {
    child = spawn(binary, ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', ...args], { stdio: 'ignore' })
    const deadline = Date.now() + 5000
    while (!await answers(port)) {
      if (Date.now() > deadline) throw new Error(`${binary} did not start`)
      await sleep(20)
    }
  }

  async function end (signal: NodeJS.Signals): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }

  t.teardown(async () => {
    await end('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  await run()
  return {
    port,
    restart: run,
    stop: () => end('SIGTERM'),
    kill9: () => end('SIGKILL'),
    pause () { child.kill('SIGSTOP') },
    resume () { child.kill('SIGCONT') }
  }
}

/** Whether a server serves: one that still loads its data does not. */
function answers (port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    const settle = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.on('data', (text) => settle(/PONG|NOAUTH/.test(String(text)))).on('error', () => settle(false)).on('close', () => settle(false))
  })
}

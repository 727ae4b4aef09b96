import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
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
export async function startRedis (t: Test, { binary = installed[0] as string, args = [] as string[] } = {}): Promise<PrivateServer> {
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

/** A way to a port that can fall silent: connections stay open, and nothing comes through. */
export async function startProxy (t: Test, to: number): Promise<{ readonly port: number, freeze (): void }> {
  const sockets: Socket[] = []
  const server = createServer((near) => {
    const far = connect(to, '127.0.0.1')
    for (const [one, other] of [[near, far], [far, near]] as const) {
      sockets.push(one)
      one.pipe(other)
      one.on('error', () => other.destroy()).on('close', () => other.destroy())
    }
  })
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    port: await listen(server),
    freeze () {
      for (const socket of sockets) socket.unpipe().pause()
    }
  }
}

async function freePort (): Promise<number> {
  const server = createServer()
  const port = await listen(server)
  server.close()
  return port
}

async function listen (server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
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

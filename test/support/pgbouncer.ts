import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { childEnv } from './child-env'
import { otherUser } from './postgres-server'
import { freePort } from './proxy'
import type { Test } from 'tap'

const program = ['pgbouncer', '/usr/sbin/pgbouncer'].find((name) => spawnSync(name, ['--version']).status === 0)
const user = otherUser()

/** Whether a pooler can be started here. */
export const hasPooler = program !== undefined && user !== undefined

/** Puts a transaction pooler in front of a server; answers its URL. It ends with the test. */
export async function startPooler (t: Test, serverPort: number): Promise<string> {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'pgbouncer-'))
  const settings = join(folder, 'pgbouncer.ini')
  writeFileSync(settings, `[databases]
postgres = host=127.0.0.1 port=${serverPort} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
`)
  chmodSync(folder, 0o700)
  if (user?.id !== undefined) for (const path of [folder, settings]) chownSync(path, user.id, user.group)

  const [command, ...args] = [...user?.command as string[], program as string, settings]
  const child = spawn(command as string, args, { stdio: 'ignore', cwd: folder, env: childEnv() })
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    rmSync(folder, { recursive: true, force: true })
  })
  for (let tries = 0; !await accepts(port); tries++) {
    if (tries === 250) throw new Error('pgbouncer did not start')
    await sleep(20)
  }
  return `postgres://postgres@127.0.0.1:${port}/postgres`
}

function accepts (port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    }).on('error', () => resolve(false))
  })
}

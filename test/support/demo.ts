import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { childEnv } from './child-env'
import type { Owner } from './chromium'

const ROOT = join(__dirname, '..', '..')

/** The demo, running. */
export interface Demo {
  readonly url: string
  /** Moves the time of its process ahead. */
  ahead (seconds: number): Promise<void>
  /** What it has printed. */
  output (): string
  stop (signal: NodeJS.Signals): Promise<number | null>
}

/** Starts the demo as `npm start` does, at a free port, with sessions where `env` says. It ends with the test. */
export async function startDemo (owner: Owner, env: NodeJS.ProcessEnv = {}): Promise<Demo> {
  const { REDIS_URL, DATABASE_URL, ...rest } = childEnv()
  const child = fork(join(ROOT, 'examples', 'demo', 'server.ts'), [], {
    cwd: ROOT, env: { ...rest, PORT: '0', ...env }, execArgv: ['--import', 'tsx', '--import', join(__dirname, 'moved-clock.mjs')], silent: true
  })
  const ended = once(child, 'close').then(([code]) => code as number | null)
  owner.teardown(() => { child.kill('SIGKILL') })

  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => { output += text })
  for (;;) {
    const [, url] = /^Open (\S+) .*\n[^]*\n\n$/m.exec(output) ?? []
    if (url !== undefined) {
      return {
        url,
        output: () => output,
        async ahead (seconds) {
          child.send(seconds)
          await once(child, 'message')
        },
        async stop (signal) {
          child.kill(signal)
          return await ended
        }
      }
    }
    const code = await Promise.race([ended, once(child.stdout as NodeJS.EventEmitter, 'data').then(() => 'more')])
    if (code !== 'more') throw new Error(`The demo ended with ${code}: ${output}`)
  }
}

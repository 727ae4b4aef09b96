import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Test } from 'tap'
import { childEnv } from './child-env'
import { engineNamed, newNamespace } from './engines'

/** Nodes of one application, each a process of its own. */
export interface ForkedNodes {
  /** Their addresses. */
  readonly nodes: readonly string[]
  /** Sets the wall clocks of all of them ahead. */
  advance (seconds: number): Promise<void>
}

/** Starts nodes over one engine; they end with the test. `envOf` adds to the environment of each. */
export async function forkNodes (t: Test, engine: string, count: number, envOf: (node: number) => NodeJS.ProcessEnv = () => ({})): Promise<ForkedNodes> {
  const namespace = newNamespace()
  const opened = await engineNamed(engine).open(namespace)
  const children: ChildProcess[] = []
  t.teardown(async () => {
    const here = children.filter(({ connected }) => connected)
    for (const child of here) child.disconnect()
    await Promise.all(here.map(async (child) => await once(child, 'exit')))
    await opened.close(true)
  })
  const nodes = await Promise.all(Array.from({ length: count }, async (_, node) => {
    const child = fork(join(__dirname, 'node-app.ts'), [engine, namespace], { execArgv: ['--import', 'tsx'], env: { ...childEnv(), ...envOf(node) } })
    children.push(child)
    const port = await answerOf(child)
    return `http://127.0.0.1:${port}`
  }))
  async function advance (seconds: number): Promise<void> {
    await Promise.all(children.map(async (child) => {
      child.send(seconds)
      await answerOf(child)
    }))
  }
  return { nodes, advance }
}

/** What a node says next; whoever waits for it hears that it has ended instead. */
async function answerOf (child: ChildProcess): Promise<number> {
  const gone = new AbortController()
  const ended = once(child, 'exit', { signal: gone.signal }).then(([code, signal]) => { throw new Error(`A node ended with ${code ?? signal}`) })
  try {
    return await Promise.race([once(child, 'message', { signal: gone.signal }).then(([answer]) => answer as number), ended])
  } finally {
    gone.abort()
    ended.catch(() => {})
  }
}

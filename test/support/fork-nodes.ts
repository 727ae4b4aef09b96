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
    for (const child of children) child.disconnect()
    await Promise.all(children.map(async (child) => await once(child, 'exit')))
    await opened.close(true)
  })
  const nodes = await Promise.all(Array.from({ length: count }, async (_, node) => {
    const child = fork(join(__dirname, 'node-app.ts'), [engine, namespace], { execArgv: ['--import', 'tsx'], env: { ...childEnv(), ...envOf(node) } })
    children.push(child)
    const [port] = await once(child, 'message') as [number]
    return `http://127.0.0.1:${port}`
  }))
  async function advance (seconds: number): Promise<void> {
    await Promise.all(children.map(async (child) => {
      child.send(seconds)
      await once(child, 'message')
    }))
  }
  return { nodes, advance }
}

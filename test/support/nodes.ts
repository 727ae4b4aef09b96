import { once } from 'node:events'
import Redis from 'ioredis'
import type { Test } from 'tap'
import { buildApp, type TestApp } from './app'
import type { RevocationStore } from '../../types'

/** How long a silent link may be trusted, in milliseconds, and some. */
export const LEASE = 1500
export const SLACK = 400

/** One node of an application, and how often it has asked its store. */
export interface Node extends TestApp { reads (): number }

/** Two nodes of one application. */
export interface Nodes { a: Node, b: Node }

type Options = Parameters<typeof buildApp>[1]
type Server = Parameters<typeof buildApp>[2]

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

export async function nodeOver (t: Test, store: RevocationStore, options: Options = {}, server: Server = {}): Promise<Node> {
  let reads = 0
  const read: RevocationStore['read'] = (refs) => { reads++; return store.read(refs) }
  return { ...await buildApp(t, { storeTimeout: '500ms', ...options, revocationStore: { ...store, read } }, server), reads: () => reads }
}

export async function nodesOver (t: Test, open: (node: 'a' | 'b') => RevocationStore | Promise<RevocationStore>): Promise<Nodes> {
  return { a: await nodeOver(t, await open('a')), b: await nodeOver(t, await open('b')) }
}

export async function status ({ client }: TestApp, token: string): Promise<number> {
  return (await client.get('/me', token)).statusCode
}

/** What a guarded route answers: 200, or the code of the error. */
export async function answer ({ client }: TestApp, token: string): Promise<number | string> {
  const { code, statusCode } = await client.get('/me', token)
  return code ?? statusCode
}

export async function logout ({ client }: TestApp, token: string): Promise<number> {
  return (await client.post('/logout', undefined, token)).statusCode
}

/** Asks until an answer comes; answers how many milliseconds that took. */
export async function until (node: TestApp, token: string, wanted: number, limit = 6000): Promise<number> {
  const start = performance.now()
  while (await status(node, token) !== wanted) {
    if (performance.now() - start > limit) return Infinity
    await pause(5)
  }
  return performance.now() - start
}

/** Asks for live sessions until the node answers from memory. */
export async function warm (node: Node, ...tokens: string[]): Promise<void> {
  const start = performance.now()
  for (const token of tokens) {
    for (let last = -1; last !== node.reads(); await pause(5)) {
      last = node.reads()
      if (await status(node, token) !== 200 || performance.now() - start > 8000) throw new Error('a session did not get warm')
    }
  }
}

/** Sessions that both nodes remember. */
export async function warmTokens (nodes: Nodes, count: number): Promise<string[]> {
  const tokens = await Promise.all(Array.from({ length: count }, async () => (await nodes.a.client.login()).access_token))
  for (const node of [nodes.a, nodes.b]) await warm(node, ...tokens)
  return tokens
}

/** A client that comes back soon. It ends with the test. */
export async function redisClient (t: Test, port: number, login: object = {}): Promise<Redis> {
  const client = new Redis({ ...login, host: '127.0.0.1', port, maxRetriesPerRequest: 0, retryStrategy: () => 50 })
  client.on('error', () => {})
  t.teardown(() => client.disconnect())
  await once(client, 'ready')
  return client
}

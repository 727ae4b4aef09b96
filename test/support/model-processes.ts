import type { Test } from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { forkNodes } from './fork-nodes'
import { tokensOf, type Cluster, type Listed, type Outcome, type Reply, type Request, type Tokens } from './model-cluster'
import { LEASE } from './model'
import { NODES, type Step } from './model-history'
import { startProxy, type Proxy } from './proxy'
import type { Rules } from './model'
import type { TokenAnswer } from '../../types'

const DAY = 86_400
const PATIENCE_MS = 20_000

/** Where the servers of the engines are, by the variable that says so. */
const SERVERS = { REDIS_URL: 'redis://127.0.0.1:6379', DATABASE_URL: 'postgres://postgres@127.0.0.1:5432/test' } as const

export interface OutsideCluster extends Cluster {
  /** Ends everything that a history has left behind. */
  renew (): Promise<void>
}

/** Nodes that are processes, each with a way to the server that can be cut, and asked over HTTP; one cluster of them for each rotation. */
export async function outsideClusters (t: Test, engine: string): Promise<(rotation: Rules['rotation']) => OutsideCluster> {
  const variable = engine === 'postgresql' ? 'DATABASE_URL' : 'REDIS_URL'
  const url = new URL(process.env[variable] ?? SERVERS[variable])
  const ways = await Promise.all(Array.from({ length: NODES }, () => startProxy(t, Number(url.port))))
  const { nodes, advance } = await forkNodes(t, engine, NODES, (node) => {
    const way = new URL(url)
    way.host = `127.0.0.1:${ways[node]?.port}`
    return { [variable]: way.href }
  })
  let ahead = 0
  const move = async (seconds: number): Promise<void> => {
    ahead += seconds
    await advance(seconds)
  }
  const now = (): number => Date.now() / 1000 + ahead
  return (rotation) => clusterOf(nodes.map((node) => `${node}/${rotation}`), ways, Number(url.port), rotation, now, move)
}

function clusterOf (
  nodes: readonly string[], ways: readonly Proxy[], port: number, rotation: Rules['rotation'], now: () => number, move: (seconds: number) => Promise<void>
): OutsideCluster {
  /** Nodes whose connections are cut while the next requests are under way. */
  const cuts = new Set<number>()
  let wasCut = false

  async function ask (node: number, path: string, body?: object, token?: string): Promise<{ status: number, code: string, body: unknown }> {
    const answer = await fetch(`${nodes[node]}${path}`, {
      signal: AbortSignal.timeout(PATIENCE_MS),
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) })
    })
    const text = await answer.text()
    const said: unknown = text === '' ? undefined : JSON.parse(text)
    return { status: answer.status, code: String((said as { code?: string } | undefined)?.code).replace('FST_JWT_SESSION_', ''), body: said }
  }

  async function reply (request: Request): Promise<Reply> {
    const { status, code, body } = await send(request)
    if (status === 200 && (request.do === 'login' || request.do === 'refresh')) return { answer: 'tokens', tokens: tokensOf(body as TokenAnswer) }
    if (status === 200 && request.do === 'use') return { answer: 'accepted' }
    if (status === 200 && request.do === 'list') return { answer: 'listed', sessions: body as Listed[] }
    if (status === 204) return request.do === 'logout' ? { answer: 'gone' } : { answer: 'all gone', ids: undefined }
    if (status === 503 && code === 'STORE_UNAVAILABLE') return { answer: '503' }
    if (status === 401 && code === 'REFRESH_TOKEN_INVALID') return { answer: 'refused' }
    if (status === 401 && code === 'SESSION_REVOKED') return { answer: 'revoked' }
    if (status === 401 && code === 'TOKEN_EXPIRED') return { answer: 'expired' }
    return { answer: 'broken', by: `${status} ${code}` }
  }

  function send (request: Request) {
    const { node } = request
    switch (request.do) {
      case 'login': return ask(node, '/login', { username: 'alice', password: 'wonderland' })
      case 'refresh': return ask(node, '/refresh', { refresh_token: request.tokens.refresh })
      case 'use': return ask(node, '/me', undefined, request.tokens.access)
      case 'logout': return ask(node, '/logout', {}, request.tokens.access)
      case 'everywhere': return ask(node, '/logout', { everywhere: true }, request.tokens.access)
      case 'list': return ask(node, '/sessions')
    }
  }

  /** Waits until nobody lets in what has ended, as long as a node may take to notice. */
  async function noticed ({ access }: Tokens): Promise<void> {
    const deadline = performance.now() + LEASE * 1000
    for (const node of nodes.keys()) {
      while ((await ask(node, '/me', undefined, access)).status !== 401 && performance.now() < deadline) await sleep(2)
    }
  }

  /** Waits until a node reaches its server again. */
  async function recovered (node: number): Promise<void> {
    for (let tries = 0; tries < 500; tries++) {
      if ((await ask(node, '/sessions')).status === 200) return
      await sleep(10)
    }
  }

  return {
    rules: { rotation, idleTimeout: 7 * DAY, absoluteTimeout: 30 * DAY },
    sparesAsker: false,
    subject: () => 'user-alice',
    now,
    isDeaf: () => false,
    // What was under way when its connection was cut may arrive whenever it likes.
    isCalm: () => !wasCut,
    heard: () => [],

    async perform (requests) {
      const answers = requests.map(async (request): Promise<Outcome> => {
        const trouble = cuts.has(request.node) ? 'any' : 'none'
        try {
          return { reply: await reply(request), trouble }
        } catch (error) {
          if ((error as Error).name === 'TimeoutError') return { reply: undefined, trouble }
          throw error
        }
      })
      if (cuts.size > 0) {
        await sleep(2)
        for (const node of cuts) ways[node]?.leadTo(port)
      }
      const outcomes = await Promise.all(answers)
      for (const node of cuts) await recovered(node)
      cuts.clear()
      for (const [index, { reply }] of outcomes.entries()) {
        const request = requests[index] as Request
        const hasEnded = reply !== undefined && ['refused', 'gone', 'all gone'].includes(reply.answer)
        if (hasEnded && 'tokens' in request) await noticed(request.tokens)
      }
      return outcomes
    },

    async trouble (step: Step) {
      if (step.do === 'cut') {
        wasCut = true
        cuts.add(step.node)
      } else if (step.do === 'jump') {
        await move(step.seconds)
      }
    },

    async renew () {
      cuts.clear()
      wasCut = false
      const { body } = await ask(0, '/login', { username: 'alice', password: 'wonderland' })
      await ask(0, '/logout', { everywhere: true }, (body as TokenAnswer).access_token)
      const left = (await ask(0, '/sessions')).body as unknown[]
      if (left.length > 0) throw new Error(`${left.length} sessions are left after logging out everywhere`)
    }
  }
}

import { setTimeout as pause } from 'node:timers/promises'
import type { Answer, SessionNode } from './session-nodes'
import type { StoreServer } from './store-server'

/** Longer than closing takes in any state: what is under way may have to wait for a store that does not answer, more than once. */
export const CLOSE_LIMIT_MS = 10_000

/** A state in which a node is closed. */
export interface ClosingState {
  readonly name: string
  /** How long this node takes to find a user. */
  readonly lookupMs?: number
  /** Brings about the state; answers requests that are under way, and by what they may be answered. */
  bring (node: SessionNode, server: StoreServer): Promise<UnderWay | undefined>
  /** Takes it back, once the node is closed. */
  restore? (server: StoreServer): Promise<void>
}

interface UnderWay {
  readonly requests: readonly Promise<Answer>[]
  readonly statuses: readonly number[]
}

export const USER = { username: 'closing', password: 'correct horse battery' }

/** As somebody of their own, as attempts are counted for each name. */
const login = (node: SessionNode, number = 0) => node.call('POST', '/tolerant/login', { body: { ...USER, username: `${USER.username}-${number}` } })

async function loggedIn (node: SessionNode): Promise<{ access_token: string, refresh_token: string }> {
  for (let tries = 0; tries < 100; tries++) {
    const { status, body } = await login(node)
    if (status === 200) return body
    await pause(50)
  }
  throw new Error('Nobody can log in')
}

/** Resolves when so many more requests have come than before: one that comes later is turned away by Fastify. */
async function arrived (node: SessionNode, before: number, count: number): Promise<void> {
  while (await node.begun() < before + count) await pause(2)
}

/** What any request is, while a store does not answer. */
function requestsOf (node: SessionNode, { access_token: token, refresh_token: refreshToken }: Awaited<ReturnType<typeof loggedIn>>): Promise<Answer>[] {
  return [
    login(node),
    node.call('POST', '/tolerant/refresh', { body: { refresh_token: refreshToken } }),
    node.call('GET', '/tolerant/sessions', { token }),
    node.call('POST', '/tolerant/logout', { token })
  ]
}

export const closingStates: readonly ClosingState[] = [
  {
    name: 'before anything has happened',
    bring: async () => undefined
  },
  {
    name: 'idle and subscribed',
    async bring (node) {
      const { access_token: token } = await loggedIn(node)
      await node.call('GET', '/tolerant/me', { token })
      await pause(300)
      return undefined
    }
  },
  {
    name: 'while logins hash and wait to be hashed',
    async bring (node) {
      await loggedIn(node)
      const before = await node.begun()
      const requests = Array.from({ length: 8 }, (_, number) => login(node, number))
      await arrived(node, before, requests.length)
      return { requests, statuses: [200] }
    }
  },
  {
    name: 'during a refresh',
    lookupMs: 200,
    async bring (node) {
      const { refresh_token: refreshToken } = await loggedIn(node)
      const before = await node.begun()
      const requests = [node.call('POST', '/tolerant/refresh', { body: { refresh_token: refreshToken } })]
      await arrived(node, before, requests.length)
      return { requests, statuses: [200] }
    }
  },
  {
    name: 'unsubscribed, as its connections were cut',
    async bring (node, server) {
      await loggedIn(node)
      await server.cut()
      return undefined
    }
  },
  {
    name: 'while the store is down and logins hash',
    async bring (node, server) {
      const tokens = await loggedIn(node)
      await server.kill9()
      const before = await node.begun()
      const requests = requestsOf(node, tokens)
      await arrived(node, before, requests.length)
      return { requests, statuses: [503] }
    },
    restore: (server) => server.start()
  },
  {
    name: 'long after the store went down',
    async bring (node, server) {
      await loggedIn(node)
      await server.kill9()
      await pause(2000)
      return undefined
    },
    restore: (server) => server.start()
  },
  {
    name: 'while the store stands still and requests wait for it',
    async bring (node, server) {
      const tokens = await loggedIn(node)
      const before = await node.begun()
      server.pause()
      const requests = requestsOf(node, tokens)
      await arrived(node, before, requests.length)
      return { requests, statuses: [503] }
    },
    restore: async (server) => server.resume()
  },
  {
    name: 'while the store has stood still for longer than the lease',
    async bring (node, server) {
      await loggedIn(node)
      server.pause()
      await pause(2000)
      return undefined
    },
    restore: async (server) => server.resume()
  }
]

/** What went wrong as a node was closed in a state: nothing, if all is well. */
export async function closeIn (state: ClosingState, node: SessionNode, server: StoreServer): Promise<{ ms: number, problems: string[] }> {
  const problems: string[] = []
  const brought = await state.bring(node, server)
  const close = node.close()
  const late = pause(CLOSE_LIMIT_MS, Infinity, { ref: false })
  for (const request of brought?.requests ?? []) {
    const { status, code } = await request
    if (!brought?.statuses.includes(status)) problems.push(`a request that was under way got ${status} ${code ?? ''}`)
  }
  node.hangUp()
  const ms = await Promise.race([close, late])
  if (ms > CLOSE_LIMIT_MS) problems.push(`it did not close within ${CLOSE_LIMIT_MS} ms`)
  await state.restore?.(server)
  return { ms, problems }
}

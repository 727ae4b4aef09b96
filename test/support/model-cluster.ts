import type { Rules, Trouble } from './model'
import type { Mishap, Step } from './model-history'
import type { Session, TokenAnswer } from '../../types'

/** A client's tokens, and what they say that matters here. */
export interface Tokens {
  readonly access: string
  readonly refresh: string
  readonly id: string
  readonly generation: number
  readonly accessEnd: number
  readonly refreshEnd: number
}

export type Request = { readonly node: number, readonly mishap: Mishap | undefined, readonly paces: readonly number[] } & (
  | { readonly do: 'login', readonly subject: string }
  | { readonly do: 'refresh' | 'use', readonly tokens: Tokens }
  /** `everywhere`: whether the session that asks is spared, and has to be live, is for the cluster to say. */
  | { readonly do: 'logout' | 'everywhere', readonly tokens: Tokens, readonly subject: string }
  | { readonly do: 'list', readonly subject: string })

export type Listed = Pick<Session, 'id' | 'createdAt' | 'rotatedAt' | 'idleExpiresAt' | 'expiresAt'>

export type Reply =
  | { readonly answer: 'tokens', readonly tokens: Tokens }
  | { readonly answer: 'refused' | 'accepted' | 'revoked' | 'expired' | 'ended' | 'not ended' | '503' }
  /** Ended, by this request or before. */
  | { readonly answer: 'gone' }
  | { readonly answer: 'all gone', readonly ids: readonly string[] | undefined }
  | { readonly answer: 'listed', readonly sessions: readonly Listed[] }
  /** Anything that is not in the contract. */
  | { readonly answer: 'broken', readonly by: string }

/** What came of a request, if it was answered in time. */
export interface Outcome {
  readonly reply: Reply | undefined
  readonly trouble: Trouble
  /** The generation of the session that its first read answered, null for none; absent where nobody watches. */
  readonly first?: number | null
}

/** Nodes over one store, and what can be done to them. */
export interface Cluster {
  readonly rules: Rules
  /** Whether log out everywhere spares the session that asks, which need not be live. */
  readonly sparesAsker: boolean
  /** What a subject is called. */
  subject (index: number): string
  /** Epoch seconds. */
  now (): number
  /** Begins requests at once, and waits for their answers, and for notices of what they ended. */
  perform (requests: readonly Request[]): Promise<readonly Outcome[]>
  /** Whether a node may not hear of what ends, and does not know it. */
  isDeaf (node: number): boolean
  /** Whether nothing is on its way to the store any more. */
  isCalm (): boolean
  /** What nodes have got to know for good since this was asked for the last time: that a session was ended. When not `isSure`, they may. */
  heard (): readonly { readonly id: string, readonly node: number, readonly at: number, readonly isSure: boolean }[]
  /** Does what a step says that is no request. */
  trouble (step: Step): Promise<void>
}

/** What tokens say, read without this package. */
export function tokensOf ({ access_token: access, refresh_token: refresh }: Pick<TokenAnswer, 'access_token' | 'refresh_token'>): Tokens {
  const read = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()) as { sid: string, gen: number, exp: number }
  const { sid: id, gen: generation, exp: refreshEnd } = read(refresh)
  return { access, refresh, id, generation, refreshEnd, accessEnd: read(access).exp }
}

import type { TSchema } from '@sinclair/typebox'
import type { Emit } from './events'
import type { HeaderSettings } from './header-fields'
import type { Ring } from './key-ring'
import type { KeySettings } from './keys'
import type { RemoteKeys, RemoteSettings } from './remote-keys'
import type { RoutesSettings } from './route-options'
import type { SessionSettings, Sessions } from './sessions'
import type { LiveSettings } from './stores/live'
import type { Throttle, ThrottleSettings } from './throttle'
import type { TokenSettings, Tokens } from './tokens'
import type { TransportSettings } from './transport-options'
import type { Awaitable, ClaimsContext, Passwords, RevocationStore, SessionEvents, SessionMemory, SessionUser, UserLookup } from '../types'

/** The options after their check, with every default in place. */
export interface Settings {
  readonly keys: KeySettings
  /** What makes it a resource server, if it is one. */
  readonly verifyOnly: { readonly remote: RemoteSettings | undefined, readonly isTrusting: boolean } | undefined
  readonly header: HeaderSettings<(user: SessionUser, context: ClaimsContext) => Awaitable<object>>
  readonly tokens: TokenSettings
  /** How many verified tokens are remembered. */
  readonly tokenMemory: number
  /** Whether access tokens say `nbf`. */
  readonly saysNotBefore: boolean
  readonly sessions: SessionSettings
  readonly store: RevocationStore
  readonly storeTimeout: number
  /** How revocations of other nodes are noticed, if at all. */
  readonly watch: RevocationStore['watch'] | undefined
  readonly live: LiveSettings
  readonly userLookup: UserLookup
  readonly passwords: Passwords
  readonly throttle: ThrottleSettings
  readonly transport: TransportSettings
  readonly loadUser: boolean | 'lazy'
  readonly protectAll: boolean
  readonly claims: (user: SessionUser, context: ClaimsContext) => Awaitable<object>
  readonly claimsSchema: TSchema | undefined
  readonly presentUser: ((user: SessionUser) => Awaitable<unknown>) | undefined
  readonly usernameField: string
  readonly routes: RoutesSettings
  /** What the options hold that works but should be looked at; for the log. */
  readonly warnings: readonly string[]
}

/** What hooks, routes and `app.jwtSession` work with: the parts of one registration. */
export interface Parts {
  readonly settings: Settings
  readonly sessions: Sessions
  readonly ring: Ring
  readonly tokens: Tokens
  /** Keys that somebody else publishes; of resource servers only. */
  readonly remote: RemoteKeys | undefined
  readonly events: SessionEvents
  readonly emit: Emit
  /** Made by no password that anybody knows, with the parameters in use: the work for unknown users. */
  readonly decoyHash: string
  readonly throttle: Throttle
  readonly memory: () => SessionMemory
}

/** The property of a Fastify instance that holds them. */
export const PARTS = Symbol('fastify-jwt-session')

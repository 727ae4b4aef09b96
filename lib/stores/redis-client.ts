import { optionInvalid } from '../errors'
import type { Subscriber } from './subscription'

/** What is used of an ioredis client. */
export interface IoredisClient {
  readonly status: string
  readonly stream: unknown
  call (command: string, args: string[]): Promise<unknown>
  duplicate (override: object): IoredisSubscriber
}

/** What is used of an ioredis client that was made by `duplicate`. */
export interface IoredisSubscriber {
  readonly stream?: { destroy (): unknown }
  on (event: string, listener: (...values: any[]) => void): unknown
  connect (): Promise<unknown>
  subscribe (...channels: string[]): Promise<unknown>
  disconnect (): unknown
}

/** What is used of an ioredis Cluster client. */
export interface IoredisCluster {
  readonly status: string
  readonly isCluster: boolean
  call (command: string, args: string[]): Promise<unknown>
}

/** What is used of a node-redis client. */
export interface NodeRedisClient {
  readonly isReady: boolean
  readonly socketEpoch: number
  readonly options: { readonly socket?: object | undefined } | undefined
  sendCommand (args: string[]): Promise<unknown>
  duplicate (overrides: object): NodeRedisSubscriber
}

/** What is used of a node-redis client that was made by `duplicate`. */
export interface NodeRedisSubscriber {
  on (event: string, listener: (...values: any[]) => void): unknown
  connect (): Promise<unknown>
  subscribe (channels: string[], listener: (message: string, channel: string) => void): Promise<unknown>
  destroy (): unknown
}

/** What is used of a node-redis cluster client. */
export interface NodeRedisCluster {
  readonly isReady: boolean
  readonly masters: readonly unknown[]
  sendCommand (firstKey: string | undefined, isReadonly: boolean, args: string[]): Promise<unknown>
}

/** A client that `redisStore` takes: of ioredis or node-redis, for a single server, Sentinel (ioredis) or a cluster. */
export type RedisClient = IoredisClient | IoredisCluster | NodeRedisClient | NodeRedisCluster

/** One face for all clients. */
export interface RedisConnection {
  /** Why no command can be sent now, if so. */
  findProblem (): string | undefined
  /** Sends a command; `key` is the one key in it, by which a cluster finds the node. */
  send (key: string | undefined, command: string, ...args: string[]): Promise<unknown>
  /** What is another value after every reconnection. Absent for a cluster. */
  epoch? (): unknown
  /** A connection for messages. Absent for a cluster, whose bus can lose messages while every subscription looks sound. */
  subscriber? (onTrouble: (reason: unknown) => void): Subscriber
}

/** Less than an attempt to subscribe may take. */
const CONNECT_TIMEOUT_MS = 2500

/**
 * Recognizes a client by what it can do.
 * @throws `OPTION_INVALID` when it is none of the four.
 */
export function redisConnection (client: RedisClient): RedisConnection {
  const typeOf = (name: string): string => typeof (client as unknown as Record<string, unknown> | null | undefined)?.[name]
  const canDuplicate = typeOf('duplicate') === 'function'
  if (typeOf('call') === 'function' && typeOf('status') === 'string') {
    if ((client as IoredisCluster).isCluster) return ioredis(client as IoredisCluster)
    if (canDuplicate) return ioredisSingle(client as IoredisClient)
  }
  if (typeOf('sendCommand') === 'function' && typeOf('isReady') === 'boolean') {
    if (Array.isArray((client as NodeRedisCluster).masters)) return nodeRedisCluster(client as NodeRedisCluster)
    if (canDuplicate && typeOf('socketEpoch') === 'number') return nodeRedis(client as NodeRedisClient)
  }
  throw optionInvalid('redisStore(client)', 'is not a client of ioredis or node-redis',
    "Pass what new Redis() of ioredis or createClient() of 'redis' returned")
}

function ioredis (client: IoredisClient | IoredisCluster): RedisConnection {
  return {
    // A lazy client connects at its first command.
    findProblem: () => client.status === 'ready' || client.status === 'wait' ? undefined : client.status,
    send: (_key, command, ...args) => client.call(command, args)
  }
}

function ioredisSingle (client: IoredisClient): RedisConnection {
  return {
    ...ioredis(client),
    epoch: () => client.stream,
    subscriber (onTrouble) {
      const link = client.duplicate({
        lazyConnect: true,
        autoResubscribe: false,
        autoResendUnfulfilledCommands: false,
        retryStrategy: null,
        reconnectOnError: null,
        connectTimeout: CONNECT_TIMEOUT_MS,
        commandTimeout: undefined,
        socketTimeout: undefined,
        enableOfflineQueue: true,
        keyPrefix: ''
      })
      for (const event of ['error', 'close', 'end']) link.on(event, (reason) => onTrouble(reason ?? new Error(`The link emitted '${event}'`)))
      return {
        async open (channels, onMessage) {
          link.on('message', onMessage)
          await link.connect()
          await link.subscribe(...channels)
        },
        destroy () {
          link.disconnect()
          // disconnect() waits for the other side, which may be silent for good.
          link.stream?.destroy()
        }
      }
    }
  }
}

function nodeRedis (client: NodeRedisClient): RedisConnection {
  return {
    findProblem: () => client.isReady ? undefined : 'not ready',
    send: (_key, ...command) => client.sendCommand(command),
    epoch: () => client.socketEpoch,
    subscriber (onTrouble) {
      const link = client.duplicate({
        socket: { ...client.options?.socket, reconnectStrategy: false, connectTimeout: CONNECT_TIMEOUT_MS, socketTimeout: undefined },
        clientSideCache: undefined,
        emitInvalidate: false
      })
      for (const event of ['error', 'end', 'reconnecting']) link.on(event, (reason) => onTrouble(reason ?? new Error(`The link emitted '${event}'`)))
      return {
        async open (channels, onMessage) {
          await link.connect()
          await link.subscribe(channels, (message, channel) => onMessage(channel, message))
        },
        destroy: () => { link.destroy() }
      }
    }
  }
}

function nodeRedisCluster (client: NodeRedisCluster): RedisConnection {
  return {
    findProblem: () => client.isReady ? undefined : 'not ready',
    send: (key, ...command) => client.sendCommand(key, false, command)
  }
}

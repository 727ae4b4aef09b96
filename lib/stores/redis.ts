import { createHash, randomUUID } from 'node:crypto'
import { now } from '../clock'
import { optionInvalid } from '../errors'
import { freezeDeep } from '../frozen'
import { LIMITER, type CountingStore } from '../limiter'
import { isRecord } from '../record'
import { redisConnection, type RedisClient, type RedisConnection } from './redis-client'
import { redisLimiter } from './redis-limiter'
import { keepSubscribed } from './subscription'
import type { RevocationStore, SessionRecord, SessionState } from '../../types'

export type { RedisClient }

/** How `redisStore` keeps its sessions. */
export interface RedisStoreOptions {
  /**
   * What every key and channel begins with. Default: `'fjs:'`. Applications that share a server need different ones, also when
   * they use different databases of it: messages do not know of databases.
   */
  readonly prefix?: string
  /** Whether the eviction policy of the server is looked at once, at the first use. Default: `true`. */
  readonly checkServer?: boolean
  /** Told what endangers the sessions. Default: `process.emitWarning`. */
  readonly onWarning?: (message: string) => void
  /**
   * How many replicas have to know of a revocation, and for how many milliseconds they are waited for; the commands of this
   * client wait as well: at most 500, and less than `storeTimeout`. A revocation that too few confirmed is rejected: it holds on
   * this server, and may be lost with it. Trying again does not wait again.
   * Default: none are waited for. Not for a cluster.
   */
  readonly waitReplicas?: { readonly count: number, readonly timeoutMs: number }
}

/** The revision that a field holds. One that cannot be read equals no expected one, so that nothing is written over it. */
const COMPARE = `
local current = redis.call('HGET', KEYS[1], ARGV[1])
local revision = '0'
if current then revision = string.match(current, '^%[([1-9]%d*),') end
if revision ~= ARGV[2] then return 0 end
`

/** For a new session: removes what has expired, and lets the key live as long as the longest session. */
const WRITE = script(`${COMPARE}
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if revision == '0' then
  local time, last = tonumber(ARGV[4]), 0
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local ending = tonumber(string.match(all[i + 1], '^%[%d+,([%d.]+),'))
    if ending and ending <= time then
      redis.call('HDEL', KEYS[1], all[i])
    elseif ending and ending > last then
      last = ending
    end
  end
  if last > 0 then redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', math.ceil(last * 1000))) end
end
return 1
`)

/** Announces before it deletes: a user that may not publish fails before anything has happened. Needs no memory. */
const REVOKE = script(`${COMPARE}
if ARGV[3] ~= '' then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
`)

/** From within a script the answer is a flat list, whatever the protocol and the settings of the client are. */
const LIST = script("return redis.call('HGETALL', KEYS[1])")

/**
 * Keeps sessions in Redis or Valkey: one hash per subject, one field per session, deleted when it is revoked. The client stays
 * yours: connect it before, close it after the application. On a cluster there is no `watch`, so that every request reads.
 * @throws `OPTION_INVALID` when the client or an option cannot be used.
 * @example
 * ```ts
 * import { Redis } from 'ioredis'
 * import jwtSession from 'fastify-jwt-session'
 * import { redisStore } from 'fastify-jwt-session/redis'
 *
 * const redis = new Redis(process.env.REDIS_URL!)
 * app.addHook('onClose', () => redis.disconnect())
 * await app.register(jwtSession, { ...options, revocationStore: redisStore(redis, { prefix: 'shop:' }) })
 * ```
 */
export function redisStore (client: RedisClient, options: RedisStoreOptions = {}): RevocationStore {
  const connection = redisConnection(client)
  const { prefix, checkServer, warn, waitReplicas } = readOptions(options, connection)
  const { subscriber } = connection
  const channel = `${prefix}revoked`
  let isChecked = !checkServer
  let isTold = false

  const keyOf = (subject: string): string => `${prefix}u:${escape(subject)}`

  async function send (key: string | undefined, command: string, ...args: string[]): Promise<unknown> {
    const problem = connection.findProblem()
    if (problem !== undefined) throw new Error(`The Redis client is not connected (${problem})`)
    if (!isChecked) {
      isChecked = true
      checkEviction(connection, warn)
    }
    return await connection.send(key, command, ...args)
  }

  async function run ({ sha, text }: Script, key: string, ...args: string[]): Promise<unknown> {
    try {
      return await send(key, 'EVALSHA', sha, '1', key, ...args)
    } catch (error) {
      if (!(error as Error | undefined)?.message?.startsWith('NOSCRIPT')) throw error
      return await send(key, 'EVAL', text, '1', key, ...args)
    }
  }

  async function change (...args: Parameters<typeof run>): Promise<boolean> {
    return Number(await run(...args)) === 1
  }

  async function revoke (...args: Parameters<typeof run>): Promise<boolean> {
    const epoch = connection.epoch?.()
    const isWritten = await change(...args)
    if (!isWritten || waitReplicas === undefined) return isWritten
    const count = Number(await send(undefined, 'WAIT', String(waitReplicas.count), String(waitReplicas.timeoutMs)))
    // WAIT speaks of the writes of its own connection: behind a reconnection it would speak of none.
    if (connection.epoch?.() !== epoch) throw unconfirmed('The connection was lost before replicas confirmed the revocation')
    if (count < waitReplicas.count) throw unconfirmed(`${count} of ${waitReplicas.count} replicas confirmed the revocation`)
    return true
  }

  /** What cannot be read counts as absent, which ends that session and no other. */
  function recordsIn (subject: string, fields: readonly (readonly [field: unknown, value: unknown])[]): SessionRecord[] {
    const records = fields.map(([field, value]) => unpack(field, subject, value)).filter((record) => record !== undefined)
    if (records.length < fields.length && !isTold) {
      isTold = true
      warn(`${keyOf(subject)} holds something that is no record of a session. What is no record counts as revoked; this is said once`)
    }
    return records
  }

  const store: RevocationStore & CountingStore = {
    [LIMITER]: redisLimiter(send, prefix),

    async read (refs) {
      const wanted = new Map<string, Set<string>>()
      for (const { id, subject } of refs) wanted.set(subject, (wanted.get(subject) ?? new Set()).add(id))
      const found = await Promise.all(Array.from(wanted, async ([subject, ids]) => {
        const fields = Array.from(ids, escape)
        const values = await send(keyOf(subject), 'HMGET', keyOf(subject), ...fields) as unknown[]
        return recordsIn(subject, fields.map((field, index) => [field, values[index]] as const).filter(([, value]) => value !== null))
      }))
      return found.flat()
    },

    write (record, expected) {
      const { id, subject, revoked } = record
      const field = escape(id)
      return revoked
        ? revoke(REVOKE, keyOf(subject), field, String(expected), subscriber === undefined ? '' : channel, JSON.stringify([id]))
        : change(WRITE, keyOf(subject), field, String(expected), pack(record), String(now()))
    },

    async list (subject) {
      const reply = await run(LIST, keyOf(subject)) as unknown[]
      return recordsIn(subject, Array.from({ length: reply.length / 2 }, (_, index) => [reply[2 * index], reply[2 * index + 1]]))
        .filter(({ expiresAt }) => expiresAt > now())
    }
  }
  if (subscriber === undefined) return store

  const publish = (to: string, message: string): Promise<unknown> => send(undefined, 'PUBLISH', to, message)
  return { ...store, watch: (on) => keepSubscribed({ channel, echoChannel: `${channel}:${randomUUID()}`, subscriber, publish }, on) }
}

/** The revocation stands on this server; looking again would call that enough. */
function unconfirmed (message: string): Error {
  return Object.assign(new Error(message), { isFinal: true })
}

interface Script {
  readonly text: string
  readonly sha: string
}

function script (text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}

/** JSON's way of writing a string, which also tells apart what is no well-formed Unicode. */
function escape (text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

function unescape (field: unknown): string {
  return JSON.parse(`"${String(field)}"`) as string
}

function pack ({ revision, expiresAt, state }: SessionRecord): string {
  return JSON.stringify([revision, expiresAt, state])
}

/** A record whose revision the scripts can read, or undefined. */
function unpack (field: unknown, subject: string, value: unknown): SessionRecord | undefined {
  try {
    const [revision, expiresAt, state] = JSON.parse(String(value)) as [number, number, SessionState]
    const record = { id: unescape(field), subject, revision, expiresAt, revoked: false, state }
    return isRecord(record) && String(value).startsWith(`[${revision},`) ? freezeDeep(record) : undefined
  } catch {
    return undefined
  }
}

/** Servers whose sessions may be evicted are told of; servers that do not say are left in peace. */
function checkEviction (connection: RedisConnection, warn: (message: string) => void): void {
  connection.send(undefined, 'INFO', 'memory').then((reply) => {
    const policy = /maxmemory_policy:([\w-]+)/.exec(String(reply))?.[1]
    if (policy !== undefined && policy !== 'noeviction') warn(`maxmemory-policy is ${policy}, so a full server logs people out. Set it to noeviction`)
  }).catch(() => {})
}

function readOptions (options: RedisStoreOptions, { epoch }: RedisConnection) {
  const { prefix = 'fjs:', checkServer = true, onWarning = (message: string) => process.emitWarning(message), waitReplicas } = options
  if (typeof prefix !== 'string') throw invalid('prefix', 'is not a string', "Give one such as 'shop:', or leave it out")
  if (typeof checkServer !== 'boolean') throw invalid('checkServer', 'is neither true nor false', 'Leave it out to have the server checked')
  if (typeof onWarning !== 'function') throw invalid('onWarning', 'is not a function', 'Give one that takes a message, or leave it out')
  if (waitReplicas !== undefined) {
    const { count, timeoutMs } = waitReplicas
    // A WAIT of 0 ms would last for ever.
    const isSound = [count, timeoutMs].every((value) => Number.isSafeInteger(value) && value > 0) && timeoutMs <= 500
    if (!isSound) throw invalid('waitReplicas', 'is not two whole numbers above zero, of which timeoutMs is at most 500', 'Write { count: 1, timeoutMs: 200 }, say')
    if (epoch === undefined) throw invalid('waitReplicas', 'cannot be had on a cluster', 'Leave it out')
  }
  return { prefix, checkServer, waitReplicas, warn: (message: string) => onWarning(`fastify-jwt-session: redisStore: ${message}`) }
}

function invalid (name: string, problem: string, remedy: string): Error {
  return optionInvalid(`redisStore(client, { ${name} })`, problem, remedy)
}

import { randomUUID } from 'node:crypto'
import type { PostgresClient } from './postgres-pool'
import type { Awaitable, WatchHandlers } from '../../types'

/** What a subscription is made of. */
export interface LinkSettings {
  readonly channel: string
  /** Makes a client that is not connected yet and that nobody else uses. */
  open (): Awaitable<PostgresClient>
  /** Sends a payload to the channel, on the way that revocations take. */
  publish (payload: string): Promise<unknown>
}

interface Echo { resolve (): void, reject (reason: Error): void }

/** How long a new connection may take until its echo arrives. */
const ATTEMPT_MS = 3000
const LONGEST_DELAY_MS = 1000

/** A server may be set to end idle sessions, and one that listens is always idle. Servers before 14 do not have the setting. */
const STAY = "select set_config(name, '0', false) from pg_settings where name = 'idle_session_timeout'"

/** What a message says: an array names revoked sessions, a string is an echo, and all else means that anything may have changed. */
export function encodeRevoked (ids: readonly string[]): string {
  const payload = JSON.stringify(ids)
  // PostgreSQL refuses payloads of 8000 bytes, and with them the revocation.
  return Buffer.byteLength(payload) < 7900 ? payload : ''
}

/** Keeps a subscription to a channel until it is closed, through as many connections as that takes. */
export function watchChannel (settings: LinkSettings, on: WatchHandlers): { close (): Promise<void> } {
  let connection: { fail (reason: Error): void, ended: Promise<void> } | undefined
  let retry: NodeJS.Timeout | undefined
  let failures = 0
  let isTold = false
  let isClosed = false

  function connect (): void {
    connection = connectOnce(settings, on, {
      ready (link) {
        failures = 0
        isTold = false
        on.ready(link)
      },
      failed (reason) {
        if (isClosed) return
        const delay = Math.min(LONGEST_DELAY_MS, 50 * 2 ** Math.min(failures++, 10))
        retry = setTimeout(connect, delay * (0.5 + Math.random() / 2))
        if (isTold) return
        isTold = true
        on.lost(reason)
      }
    })
  }

  connect()
  return {
    async close () {
      isClosed = true
      clearTimeout(retry)
      connection?.fail(new Error('The subscription was closed'))
      await connection?.ended
    }
  }
}

/** One connection: `ready` is called at most once and `failed` exactly once, when it is over. */
function connectOnce (settings: LinkSettings, on: WatchHandlers, then: {
  ready: WatchHandlers['ready']
  failed (reason: Error): void
}): { fail (reason: Error): void, ended: Promise<void> } {
  const echoes = new Map<string, Echo>()
  let client: PostgresClient | undefined
  let failure: Error | undefined
  let end: () => void
  const ended = new Promise<void>((resolve) => { end = resolve })
  const timer = setTimeout(() => fail(new Error(
    `LISTEN heard no echo within ${ATTEMPT_MS} ms: the server is slow, or "listen" leads to a transaction pooler or to another database`
  )), ATTEMPT_MS)

  function fail (reason: Error): void {
    if (failure !== undefined) return
    failure = reason
    clearTimeout(timer)
    if (client === undefined) end()
    else drop(client).then(end)
    for (const echo of echoes.values()) echo.reject(reason)
    echoes.clear()
    then.failed(reason)
  }

  function hear ({ channel, payload = '' }: { channel: string, payload?: string | undefined }): void {
    if (failure !== undefined || channel !== settings.channel) return
    const message = parse(payload)
    if (typeof message === 'string') {
      echoes.get(message)?.resolve()
      echoes.delete(message)
    } else if (isStrings(message)) on.revoked(message)
    else on.changed()
  }

  /** Resolves when a message that was sent now has arrived, so that everything committed before has arrived too. */
  function echo (): Promise<void> {
    if (failure !== undefined) return Promise.reject(failure)
    const nonce = randomUUID()
    return new Promise((resolve, reject) => {
      echoes.set(nonce, { resolve, reject })
      settings.publish(JSON.stringify(nonce)).catch((error) => {
        echoes.delete(nonce)
        reject(error)
      })
    })
  }

  async function start (): Promise<void> {
    const made = await settings.open()
    if (failure !== undefined) return drop(made)
    client = made
    made.on('error', fail)
    made.on('end', () => fail(new Error('The connection that listens has ended')))
    made.on('notification', hear)
    await made.connect()
    await made.query(`${STAY}; listen "${settings.channel}"`)
    await echo()
    // The echo and the end of the connection may come in one piece.
    if (failure !== undefined) return
    clearTimeout(timer)
    then.ready({ ping: echo, reset: () => fail(new Error('The subscription was reset')) })
  }

  start().catch(fail)
  return { fail, ended }
}

/** Says goodbye and destroys the socket at once, because a mute server would never close its end. Never rejects. */
async function drop (client: PostgresClient): Promise<void> {
  try {
    const ended = client.end()
    const { connection } = client as { connection?: { stream?: { destroy? (): void } } }
    setImmediate(() => connection?.stream?.destroy?.())
    await ended
  } catch {
    // It was no client, or it is gone already.
  }
}

function parse (payload: string): unknown {
  try {
    return JSON.parse(payload)
  } catch {
    return undefined
  }
}

function isStrings (value: unknown): value is string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string')
}

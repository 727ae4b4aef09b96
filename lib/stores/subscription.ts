import { randomUUID } from 'node:crypto'
import type { Awaitable, WatchHandlers } from '../../types'

/** Called with each message. */
export type OnMessage = (channel: string, message: string) => void

/** A connection for messages alone, which never mends itself: when it breaks, it is replaced. */
export interface Subscriber {
  /** Connects and subscribes. */
  open (channels: string[], onMessage: OnMessage): Promise<unknown>
  /** Drops the socket at once, without waiting for the other side. Never fails, also when there is nothing to drop, or no longer. */
  destroy (): Awaitable<void>
}

/** What a subscription is made of. */
export interface SubscriptionSource {
  /** Where revocations are announced, each as a JSON array of ids. All else that comes there means that anything may have changed. */
  readonly channel: string
  /** Where echoes come back: a channel that nobody else listens to, so that no node hears the echoes of all. */
  readonly echoChannel: string
  /** Makes a connection that tells of its first trouble, but not before it was returned. */
  subscriber (onTrouble: (reason: unknown) => void): Subscriber
  /** Publishes through the connection that writes, so that an echo goes the way of an announcement. */
  publish (channel: string, message: string): Promise<unknown>
}

/** How long a connection may take until its first echo arrives. */
const ATTEMPT_MS = 3000
const LONGEST_PAUSE_MS = 1000

interface LinkEvents extends Pick<WatchHandlers, 'ready' | 'revoked' | 'changed'> {
  /** It is over. Called once, whether it was ready before or not. */
  ended (reason: unknown): void
}

/**
 * Keeps a subscription until it is closed, through as many connections as that takes: each is proven by an echo before it is
 * called ready, and replaced at the first sign of trouble.
 */
export function keepSubscribed (source: SubscriptionSource, on: WatchHandlers): { close (): Promise<void> } {
  let failures = 0
  let isClosed = false
  let timer: NodeJS.Timeout | undefined
  let link = connect()

  function connect (): ReturnType<typeof openLink> {
    const begun = performance.now()
    return openLink(source, {
      ...on,
      ready (proven) {
        failures = 1
        on.ready(proven)
      },
      ended (reason) {
        if (isClosed) return
        // The very first attempt may fail at once for nothing: the client that publishes may be connecting, too.
        if (performance.now() - begun > LONGEST_PAUSE_MS) failures ||= 1
        if (failures === 1) on.lost(reason)
        // Between half and all of a pause that doubles, so that many nodes do not come back in step.
        const pause = Math.min(LONGEST_PAUSE_MS, 25 * 2 ** Math.min(failures++, 10)) * (0.5 + Math.random() / 2)
        if (!isClosed) timer = setTimeout(() => { link = connect() }, pause).unref()
      }
    })
  }

  return {
    async close () {
      isClosed = true
      clearTimeout(timer)
      await link.end(new Error('The subscription was closed'))
    }
  }
}

/** One connection, from its making to its end. */
function openLink (source: SubscriptionSource, on: LinkEvents): { end (reason: unknown): Awaitable<void> } {
  const { channel, echoChannel, subscriber, publish } = source
  const echoes = new Map<string, { resolve (): void, reject (reason: unknown): void }>()
  let over: { readonly reason: unknown, destroyed?: Awaitable<void> } | undefined

  const connection = subscriber(end)
  const timer = setTimeout(() => end(new Error(
    `No echo within ${ATTEMPT_MS} ms: the server is slow, or messages do not come through, as behind a transaction pooler or from another database`
  )), ATTEMPT_MS).unref()
  // What ended while it was being opened may have come to stand after that.
  start().catch((error) => over === undefined ? end(error) : connection.destroy())

  async function start (): Promise<void> {
    await connection.open([channel, echoChannel], hear)
    await ping()
    // The echo and the end of the connection may come in one piece.
    if (over !== undefined) return
    clearTimeout(timer)
    on.ready({ ping, reset () { end(new Error('The subscription was reset')) } })
  }

  function hear (from: string, message: string): void {
    if (over !== undefined) return
    if (from === echoChannel) {
      echoes.get(message)?.resolve()
      echoes.delete(message)
    } else if (from === channel) {
      const ids = parse(message)
      if (isStrings(ids)) on.revoked(ids)
      else on.changed()
    }
  }

  /** Resolves when a message that is sent now has arrived, so that every announcement before it has arrived, too. */
  function ping (): Promise<void> {
    return new Promise((resolve, reject) => {
      if (over !== undefined) return reject(over.reason)
      const nonce = randomUUID()
      echoes.set(nonce, { resolve, reject })
      publish(echoChannel, nonce).catch((error) => {
        echoes.delete(nonce)
        reject(error)
      })
    })
  }

  function end (reason: unknown): Awaitable<void> {
    if (over !== undefined) return over.destroyed
    clearTimeout(timer)
    // Before the connection is destroyed, of which some tell at once.
    over = { reason }
    over.destroyed = connection.destroy()
    for (const echo of echoes.values()) echo.reject(reason)
    echoes.clear()
    on.ended(reason)
    return over.destroyed
  }

  return { end }
}

function parse (message: string): unknown {
  try {
    return JSON.parse(message)
  } catch {
    return undefined
  }
}

function isStrings (value: unknown): value is string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string')
}

import { randomBytes } from 'node:crypto'
import type { Subscriber } from './redis-client'
import type { WatchHandlers } from '../../types'

/** The longest pause before the next attempt to subscribe. */
const RETRY_MS = 1000

/** How long a subscription may take to be connected, confirmed and proven. */
const ATTEMPT_MS = 5000

/** What the watch needs of its surroundings. */
export interface WatchSource {
  /** Where revocations are announced; what is sent to one watch alone is told from it by a suffix. */
  readonly channel: string
  subscriber (onTrouble: (reason: unknown) => void): Subscriber
  /** Publishes through the connection that writes, so that the echo goes the way of an announcement. */
  publish (channel: string, message: string): Promise<unknown>
}

/** Keeps a subscription alive: each is proven by an echo, and replaced by a new one at the first sign of trouble. */
export function watchChannel (source: WatchSource, on: WatchHandlers): { close (): void } {
  let attempts = 0
  let isTold = false
  let isClosed = false
  let timer: NodeJS.Timeout | undefined
  let link = subscribe()

  function subscribe (): { end (): void } {
    return openLink(source, on, {
      proven () {
        attempts = 0
        isTold = false
      },
      ended (reason, wasProven) {
        // A first attempt may fail for nothing; a second one is worth a word.
        if (wasProven || (!isTold && attempts > 0)) {
          isTold = true
          on.lost(reason)
        }
        attempts++
        // Between half and all of a pause that doubles, so that many nodes do not come back in step.
        const pause = Math.min(RETRY_MS, 25 * 2 ** Math.min(attempts, 10)) * (0.5 + Math.random() / 2)
        if (!isClosed) timer = setTimeout(() => { link = subscribe() }, pause).unref()
      }
    })
  }

  return {
    close () {
      isClosed = true
      clearTimeout(timer)
      link.end()
    }
  }
}

interface LinkEvents {
  proven (): void
  ended (reason: unknown, wasProven: boolean): void
}

/** One subscription, from its connection to its end. It ends once, whatever happens then. */
function openLink ({ channel, subscriber, publish }: WatchSource, on: WatchHandlers, events: LinkEvents): { end (): void } {
  const own = `${channel}:${randomBytes(9).toString('base64url')}`
  const echoes = new Map<string, { resolve (): void, reject (reason: unknown): void }>()
  let sent = 0
  let isProven = false
  let isOver = false

  const connection = subscriber(fail)
  const timer = setTimeout(() => fail(new Error(`No echo of a message within ${ATTEMPT_MS} ms`)), ATTEMPT_MS).unref()
  connection.open([channel, own], receive).then(ping).then(prove).catch(fail)

  function receive (from: string, message: string): void {
    if (isOver) return
    if (from === own) {
      echoes.get(message)?.resolve()
      echoes.delete(message)
    } else {
      try {
        on.revoked(JSON.parse(message) as string[])
      } catch (error) {
        // What cannot be read may have been a revocation.
        fail(error)
      }
    }
  }

  function ping (): Promise<void> {
    return new Promise((resolve, reject) => {
      if (isOver) throw new Error('The link is lost')
      const nonce = String(++sent)
      echoes.set(nonce, { resolve, reject })
      publish(own, nonce).catch((error) => {
        echoes.delete(nonce)
        reject(error)
      })
    })
  }

  function prove (): void {
    if (isOver) return
    clearTimeout(timer)
    isProven = true
    events.proven()
    on.ready({ ping, reset: () => fail(new Error('The link was reset')) })
  }

  function end (reason: unknown): boolean {
    if (isOver) return false
    isOver = true
    clearTimeout(timer)
    connection.destroy()
    for (const echo of echoes.values()) echo.reject(reason)
    echoes.clear()
    return true
  }

  function fail (reason: unknown): void {
    if (!end(reason)) return
    events.ended(reason, isProven)
  }

  return { end: () => { end(new Error('The watch was closed')) } }
}

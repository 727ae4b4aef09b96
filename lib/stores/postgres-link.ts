import type { PostgresClient } from './postgres-pool'
import type { Subscriber, SubscriptionSource } from './subscription'
import type { Awaitable } from '../../types'

/** A server may be set to end idle sessions, and one that listens is always idle. Servers before 14 do not have the setting. */
const STAY = "select set_config(name, '0', false) from pg_settings where name = 'idle_session_timeout'"

/** The announcement of revocations. One that says nothing means that anything may have changed. */
export function encodeRevoked (ids: readonly string[]): string {
  const message = JSON.stringify(ids)
  // PostgreSQL refuses payloads of 8000 bytes, and with them the revocation.
  return Buffer.byteLength(message) < 7900 ? message : ''
}

/** Connections that LISTEN. `make` makes a client that is not connected yet and that nobody else uses. */
export function subscriberOf (make: () => Awaitable<PostgresClient>): SubscriptionSource['subscriber'] {
  return function subscriber (onTrouble): Subscriber {
    let client: PostgresClient | undefined
    return {
      async open (channels, onMessage) {
        client = await make()
        client.on('error', onTrouble)
        client.on('end', () => onTrouble(new Error('The connection that listens has ended')))
        client.on('notification', ({ channel, payload = '' }) => onMessage(channel, payload))
        await client.connect()
        await client.query([...channels.map((channel) => `listen "${channel}"`), STAY].join('; '))
      },

      async destroy () {
        if (client === undefined) return
        try {
          const ended = client.end()
          // At once, because a mute server would never close its end.
          const { connection } = client as { connection?: { stream?: { destroy? (): void } } }
          setImmediate(() => connection?.stream?.destroy?.())
          await ended
        } catch {
          // It was no client, or it is gone already.
        }
      }
    }
  }
}

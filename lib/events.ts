import { channel } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import type { FastifyBaseLogger } from 'fastify'
import type { SessionEventMap, SessionEvents } from '../types'

export type Emit = <Name extends keyof SessionEventMap>(name: Name, event: SessionEventMap[Name]) => void

/** Every event: whether it is worth a line in the log, and at which level. */
const levels: Record<keyof SessionEventMap, 'info' | 'warn' | null> = {
  'login.succeeded': null,
  'login.failed': 'info',
  'login.throttled': 'info',
  'password.rehashed': null,
  'rehash.failed': 'warn',
  'refresh.succeeded': null,
  'refresh.refused': 'info',
  'refresh.recovered': 'info',
  'session.reused': 'warn',
  'session.revoked': null,
  'store.regressed': 'warn',
  'store.called': null,
  // Fastify's own error handler logs what it answers.
  'request.refused': null
}

/** The names of all events. */
export const eventNames = Object.keys(levels) as (keyof SessionEventMap)[]

/** Where the events of all registrations of the process are published: on `node:diagnostics_channel`. */
const channels = Object.fromEntries(eventNames.map((name) => [name, channel(`fastify-jwt-session:${name}`)])) as
  Record<keyof SessionEventMap, ReturnType<typeof channel>>

/** The events of one registration. Listeners are guests: what they throw is logged and stops nothing. */
export function createEvents (log: FastifyBaseLogger): {
  readonly events: SessionEvents
  readonly emit: Emit
  /** Whether anybody hears an event of this name. */
  readonly isHeard: (name: keyof SessionEventMap) => boolean
} {
  const emitter = new EventEmitter()
  const failed = (error: unknown, name: unknown): void => {
    log.error({ err: error }, `fastify-jwt-session: a listener of ${String(name)} failed`)
  }

  return {
    events: emitter as unknown as SessionEvents,
    isHeard: (name) => emitter.listenerCount(name) > 0 || channels[name].hasSubscribers,
    emit (name, event) {
      const level = levels[name]
      if (level !== null) log[level]({ session: withoutUsername(event) }, `fastify-jwt-session: ${name}`)
      for (const listener of emitter.rawListeners(name)) {
        try {
          const answer: unknown = listener.call(emitter, event)
          if (answer instanceof Promise) answer.catch((error: unknown) => failed(error, name))
        } catch (error) {
          failed(error, name)
        }
      }
      // Does nothing without subscribers, and never throws: Node raises what they throw on its own.
      channels[name].publish(event)
    }
  }
}

/** People type passwords into the wrong field: what a client calls itself does not go to the log. */
function withoutUsername (event: object): object {
  return Object.fromEntries(Object.entries(event).filter(([name]) => name !== 'username'))
}

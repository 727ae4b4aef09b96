import { EventEmitter } from 'node:events'
import type { FastifyBaseLogger } from 'fastify'
import type { SessionEventMap, SessionEvents } from '../types'

export type Emit = <Name extends keyof SessionEventMap>(name: Name, event: SessionEventMap[Name]) => void

/** What is worth a line in the log, and at which level. */
const levels: Partial<Record<keyof SessionEventMap, 'info' | 'warn'>> = {
  'login.failed': 'info',
  'login.throttled': 'info',
  'rehash.failed': 'warn',
  'refresh.refused': 'info',
  'refresh.recovered': 'info',
  'session.reused': 'warn',
  'store.regressed': 'warn'
}

/** The events of one registration. Listeners are guests: what they throw is logged and stops nothing. */
export function createEvents (log: FastifyBaseLogger): { events: SessionEvents, emit: Emit } {
  const emitter = new EventEmitter()
  const failed = (error: unknown, name: unknown): void => {
    log.error({ err: error }, `fastify-jwt-session: a listener of ${String(name)} failed`)
  }

  return {
    events: emitter as unknown as SessionEvents,
    emit (name, event) {
      const level = levels[name]
      if (level !== undefined) log[level]({ session: withoutUsername(event) }, `fastify-jwt-session: ${name}`)
      for (const listener of emitter.rawListeners(name)) {
        try {
          const answer: unknown = listener.call(emitter, event)
          if (answer instanceof Promise) answer.catch((error: unknown) => failed(error, name))
        } catch (error) {
          failed(error, name)
        }
      }
    }
  }
}

/** People type passwords into the wrong field: what a client calls itself does not go to the log. */
function withoutUsername (event: object): object {
  return Object.fromEntries(Object.entries(event).filter(([name]) => name !== 'username'))
}

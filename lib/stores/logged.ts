import type { FastifyBaseLogger } from 'fastify'
import type { RevocationStore } from '../../types'

type Watch = NonNullable<RevocationStore['watch']>

/** A watch whose troubles and recoveries an operator reads in the log. */
export function loggedWatch (watch: Watch, log: FastifyBaseLogger): Watch {
  let isLost = false
  return (on) => watch({
    ...on,
    ready (link) {
      if (isLost) log.info('fastify-jwt-session: revocations of other nodes are heard again')
      isLost = false
      on.ready(link)
    },
    lost (reason) {
      if (!isLost) log.warn({ err: reason }, 'fastify-jwt-session: revocations of other nodes are not heard, so every request asks the store')
      isLost = true
      on.lost(reason)
    }
  })
}

import { PassThrough } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { SessionEventMap } from 'fastify-jwt-session'

const NAMES: (keyof SessionEventMap)[] = [
  'login.succeeded', 'login.failed', 'login.throttled', 'refresh.succeeded', 'refresh.refused', 'refresh.recovered', 'session.reused', 'session.revoked',
  'store.regressed'
]

/** What the page is told of an event. Not the username of a failed login, which may be a mistyped password, and no device. */
interface Told {
  id?: string
  subject?: string
  session?: { id: string, subject: string } | null
  generation?: number
  presented?: number
  rotated?: boolean
  reason?: string
}

/**
 * `GET /demo/events`: what happens to sessions, and whether their store answers, as server-sent events. It tells everybody of
 * everybody, which is right for a demo and for nothing else.
 */
export function addEvents (app: FastifyInstance, nameOf: (subject: string) => Promise<string>): void {
  const viewers = new Set<PassThrough>()
  let isStoreUp = true
  let isOpen = true

  function send (event: string, content: object): void {
    for (const viewer of viewers) viewer.write(message(event, content))
  }

  for (const name of NAMES) {
    app.jwtSession.events.on(name, async (event) => {
      const { session, id = session?.id, subject = session?.subject, generation, presented, rotated, reason } = event as Told
      const user = subject === undefined ? undefined : await nameOf(subject)
      send('session', { name, id, user, generation, presented, rotated, reason })
    })
  }

  async function watchStore (): Promise<void> {
    for (;;) {
      await setTimeout(500, undefined, { ref: false })
      if (!isOpen) return
      if (viewers.size === 0) continue
      const isUp = await app.jwtSession.list('nobody').then(() => true, () => false)
      if (isUp !== isStoreUp) send('store', { up: isUp })
      isStoreUp = isUp
    }
  }
  watchStore()

  // Before the server waits for its connections to end, which these never do by themselves.
  app.addHook('preClose', async () => {
    isOpen = false
    for (const viewer of viewers) viewer.end()
    viewers.clear()
  })

  app.get('/demo/events', { schema: { hide: true } }, (_request, reply) => {
    const viewer = new PassThrough()
    viewers.add(viewer)
    viewer.on('close', () => viewers.delete(viewer))
    viewer.write(`retry: 1000\n${message('store', { up: isStoreUp })}`)
    return reply.header('content-type', 'text/event-stream').header('cache-control', 'no-store').send(viewer)
  })
}

function message (event: string, content: object): string {
  return `event: ${event}\ndata: ${JSON.stringify(content)}\n\n`
}

import Fastify, { type FastifyInstance } from 'fastify'
import jwtSession from '../../lib'
import { isSessionError } from '../../lib/errors'
import { plainPasswords, SECRET } from './app'
import { tokensOf, type Cluster, type Outcome, type Reply, type Request } from './model-cluster'
import { lines, type Work } from './model-line'
import { linkedWatch, type Link } from './model-link'
import { modelTime, TIMEOUT_MS } from './model-time'
import type { Rules } from './model'
import type { Server } from './model-servers'
import type { RevocationStore, SessionRecord } from '../../types'

/** Longer than any request may take, in seconds. */
const PATIENCE = 30
/** How long a subscription stays lost, in seconds. */
const CUT = 1

export interface InsideCluster extends Cluster {
  /** Begins anew: the time from which it started, other subjects, nothing broken. */
  renew (): Promise<void>
  close (): Promise<void>
}

/**
 * Applications of this process over one server, in a time of their own: their store calls and notices meet whatever a history
 * says.
 */
export async function insideCluster (server: Server, rules: Rules): Promise<InsideCluster> {
  const time = modelTime()
  const links: Link[] = []
  let games = 0
  /** What the store has written, for a restart to lose. */
  let written: { record: SessionRecord, before: SessionRecord | undefined }[] = []
  const stored = new Map<string, SessionRecord>()
  let ended: string[] = []
  let heard: ReturnType<Cluster['heard']>[number][] = []

  const way = lines(time, (record) => {
    written.push({ record, before: stored.get(record.id) })
    stored.set(record.id, record)
    if (record.revoked) ended.push(record.id)
  })

  function watchOf ({ watch }: RevocationStore): Pick<RevocationStore, 'watch'> {
    if (watch === undefined) return {}
    const linked = linkedWatch(time, { watch })
    links.push(linked.link)
    return { watch: linked.watch }
  }

  const apps = await Promise.all(server.stores.map(async (store, node) => {
    const app = Fastify()
    await app.register(jwtSession, {
      secret: SECRET,
      rotation: rules.rotation,
      session: { idleTimeout: rules.idleTimeout, absoluteTimeout: rules.absoluteTimeout },
      storeTimeout: `${TIMEOUT_MS}ms`,
      userLookup: { findByUsername: (id) => user(id), findById: (id) => user(id) },
      passwords: plainPasswords,
      revocationStore: { ...way.to(store, node), ...watchOf(store) }
    })
    app.jwtSession.events.on('session.revoked', ({ id }) => { heard.push({ id, node, at: time.now(), isSure: true }) })
    return app
  }))
  for (const link of links) await link.ping()

  /** Lets notices of all that is done come to all who can hear. */
  async function settle (): Promise<void> {
    if (ended.length > 0) for (const link of links) await link.ping()
    await time.run(0)
  }

  function reconnect (): void {
    for (const link of links) {
      link.disconnect()
      link.connect()
    }
  }

  async function restart (loses: number): Promise<void> {
    way.cut()
    const lost = loses === 0 ? [] : written.splice(Math.max(0, written.length - loses))
    for (const { record, before } of lost.reverse()) {
      await server.forget(record)
      stored.delete(record.id)
      if (before === undefined || before.revoked) continue
      await server.stores[0]?.write(before, 0)
      stored.set(before.id, before)
    }
    reconnect()
  }

  return {
    rules,
    sparesAsker: true,
    subject: (index) => `subject-${games}-${index}`,
    now: time.now,
    isDeaf: (node) => links[node]?.isDeaf() ?? false,
    isCalm: way.isCalm,

    heard () {
      const all = heard
      heard = []
      return all
    },

    async perform (requests) {
      const at = time.now()
      const soundness = links.map((link) => link.soundness())
      const replies: (Reply | undefined)[] = requests.map(() => undefined)
      let answered = 0
      const works = requests.map((request): Work => ({ request, calls: 0, isLasting: false, trouble: 'none' }))
      way.atWork = works
      for (const [index, work] of works.entries()) {
        way.run(work, () => answer(apps[work.request.node] as FastifyInstance, work.request)).then((reply) => {
          replies[index] = reply
          answered++
        }, () => {})
      }
      await time.runUntil(() => answered === requests.length, PATIENCE)
      await settle()
      for (const [node, link] of links.entries()) {
        // Not over a gap between two subscriptions.
        const isSure = soundness[node] !== undefined && soundness[node] === link.soundness()
        heard.push(...ended.map((id) => ({ id, node, at, isSure })))
      }
      ended = []
      return works.map(({ trouble, first }, index): Outcome => ({ reply: replies[index], trouble, ...(first === undefined ? {} : { first }) }))
    },

    async trouble (step) {
      const link = 'node' in step ? links[step.node] : undefined
      switch (step.do) {
        case 'pass':
          await time.run(step.seconds)
          await settle()
          heard.push(...ended.flatMap((id) => [...links.keys()].map((node) => ({ id, node, at: time.now(), isSure: false }))))
          ended = []
          break
        case 'jump': return time.jump(step.seconds)
        case 'restart': return await restart(step.loses)
        case 'deaf':
        case 'slow':
          if (link?.state === 'sound') link.state = step.do
          break
        case 'cut':
          link?.disconnect()
          if (link !== undefined) time.after(CUT, () => { if (link.state === 'cut') link.connect() })
          break
        case 'outage':
          way.outages.add(step.node)
          break
        case 'mend':
          way.outages.clear()
          reconnect()
      }
    },

    async renew () {
      // What a history has left behind comes to its end in its own time.
      way.outages.clear()
      for (const link of links) link.disconnect()
      await time.run(2 * PATIENCE)
      time.renew()
      games++
      written = []
      ended = []
      heard = []
      stored.clear()
      server.clear?.()
      reconnect()
    },

    async close () {
      time.end()
      await Promise.all(apps.map((app) => app.close()))
      await server.close()
    }
  }
}

function user (id: string): jwtSession.SessionUser {
  return { id, passwordHash: 'plain:wonderland' }
}

const REFUSALS: Readonly<Record<string, Reply>> = {
  FST_JWT_SESSION_STORE_UNAVAILABLE: { answer: '503' },
  FST_JWT_SESSION_REFRESH_TOKEN_INVALID: { answer: 'refused' },
  FST_JWT_SESSION_SESSION_REVOKED: { answer: 'revoked' },
  FST_JWT_SESSION_TOKEN_EXPIRED: { answer: 'expired' }
}

async function answer ({ jwtSession }: FastifyInstance, request: Request): Promise<Reply> {
  try {
    switch (request.do) {
      case 'login': return { answer: 'tokens', tokens: tokensOf(await jwtSession.login(user(request.subject))) }
      case 'refresh': return { answer: 'tokens', tokens: tokensOf(await jwtSession.refresh(request.tokens.refresh)) }
      case 'use':
        await jwtSession.verify(request.tokens.access)
        return { answer: 'accepted' }
      case 'logout': return { answer: await jwtSession.revoke({ id: request.tokens.id, subject: request.subject }) ? 'ended' : 'not ended' }
      case 'everywhere': return { answer: 'all gone', ids: await jwtSession.revokeAll(request.subject, { except: request.tokens.id }) }
      case 'list': return { answer: 'listed', sessions: await jwtSession.list(request.subject) }
    }
  } catch (error) {
    return (isSessionError(error) ? REFUSALS[error.code] : undefined) ?? { answer: 'broken', by: (error as Error).stack ?? String(error) }
  }
}

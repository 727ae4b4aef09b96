import { randomOf, VirtualTime } from './virtual-time'
import type { Rotation, Seated } from '../../lib/seats'
import type { LiveSessions, LiveSettings, liveSessions } from '../../lib/stores/live'
import type { SessionRecord, SessionRef, WatchHandlers } from '../../types'

export const LEASE = 1.5

const SETTINGS: LiveSettings = { lease: LEASE, maxAge: 60, maxEntries: 1000, burial: 900, deadline: 5 }

interface Channel {
  isMute: boolean
  isOpen: boolean
  lastDelivery: number
}

/**
 * One node, one store and the links between them, for a few seconds of random delays, cuts, silent cuts and outages, while
 * another node revokes sessions and this one is asked about them all the time.
 * @returns what was answered that must not have been.
 */
export async function simulate (make: typeof liveSessions, seed: number): Promise<string[]> {
  const random = randomOf(seed)
  const time = new VirtualTime()
  const between = (least: number, most: number) => least + random() * (most - least)
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T
  // A network of its own character for every schedule: fast, slow, or with reads that outlast a whole reconnect.
  const slowest = { read: pick([0.002, 0.05, 0.5, 2]), notice: pick([0.002, 0.05, 0.3, 0.9]), reconnect: pick([0.01, 0.2, 1]) }

  const ids = ['a', 'b', 'c', 'd', 'e', 'f']
  const kept = new Map(ids.map((id): [string, Seated] => [id, { session: { id, subject: 'alice' } }]))
  const revokedAt = new Map<string, number>()
  const processedAt = new Map<string, number>()
  const violations: string[] = []
  let isStoreDown = false
  let isKnownDown = true
  let channel: Channel | null = null
  let handlers: WatchHandlers | null = null

  const record = ({ id, subject }: SessionRef): SessionRecord => ({
    id,
    subject,
    revision: 1,
    expiresAt: time.now() + 1e6,
    revoked: false,
    state: { generation: 0, rotatedAt: 0, seen: false, authTime: 0, createdAt: 0, idleExpiresAt: time.now() + 1e6, device: {} }
  })

  function deliver (over: Channel, message: () => void): void {
    // What was sent before the link went mute still arrives.
    if (over.isMute) return
    const at = Math.max(over.lastDelivery, time.now() + between(0.0005, slowest.notice))
    over.lastDelivery = at
    time.after(at - time.now(), () => { if (over.isOpen) message() })
  }

  function connect (): void {
    const mine: Channel = { isMute: false, isOpen: true, lastDelivery: 0 }
    channel = mine
    const link = {
      ping: () => new Promise<void>((resolve, reject) => {
        time.after(between(0.0005, slowest.notice), () => {
          if (!mine.isOpen) return reject(new Error('closed'))
          deliver(mine, resolve)
        })
      }),
      reset: () => { cut(mine, 0) }
    }
    // The echo has come back: the server knows this subscription.
    isKnownDown = false
    handlers?.ready(link)
  }

  function cut (which: Channel, delay: number): void {
    if (!which.isOpen) return
    which.isOpen = false
    const isTold = random() < 0.9
    time.after(delay, () => {
      if (isTold) {
        isKnownDown = true
        handlers?.lost()
      }
      time.after(between(0.001, slowest.reconnect), connect)
    })
  }

  function revoke (id: string): void {
    time.after(between(0, 0.01), () => {
      if (revokedAt.has(id)) return
      revokedAt.set(id, time.now())
      const over = channel
      if (over !== null && over.isOpen) {
        deliver(over, () => {
          processedAt.set(id, time.now())
          handlers?.revoked([id])
        })
      }
    })
  }

  // Small memories forget burials, too.
  const live: LiveSessions = make({
    read: async (refs) => await new Promise((resolve, reject) => {
      time.after(between(0.0002, slowest.read), () => {
        if (isStoreDown) return reject(new Error('down'))
        const found = refs.filter(({ id }) => !revokedAt.has(id)).map(record)
        time.after(between(0.0002, slowest.read), () => resolve(found))
      })
    }),
    watch (on) {
      handlers = on
      return { close () {} }
    }
  }, { ...SETTINGS, maxEntries: pick([2, 1000]) }, time)
  connect()

  function check (id: string): void {
    const start = time.now()
    const wasKnownDown = isKnownDown
    const judge = (answer: Rotation | undefined) => {
      const revoked = revokedAt.get(id)
      if (answer === undefined || revoked === undefined) return
      if (processedAt.has(id)) violations.push(`seed ${seed}: ${id} answered live after its notice was processed`)
      else if (start - revoked >= LEASE) violations.push(`seed ${seed}: ${id} answered live ${start - revoked} s after its revocation`)
      else if (wasKnownDown && start >= revoked) violations.push(`seed ${seed}: ${id} answered live over a link known to be down`)
    }
    // A token that is remembered knows where its session sat.
    Promise.resolve(live.find(pick([kept.get(id), { session: { id, subject: 'alice' } }]) as Seated)).then(judge, () => {})
  }

  const end = between(3, 8)
  for (let at = 0; at < end; at += between(0.001, 0.2)) time.after(at, () => check(pick(ids)))
  for (const id of ids) {
    const at = between(0.2, end)
    time.after(at, () => revoke(id))
    // Reads under way when the notice comes are where naive memories go wrong.
    for (let count = 0; count < 4; count++) time.after(Math.max(0, at + between(-slowest.read * 2, 0.02)), () => check(id))
    for (const later of [0.05, 0.5, LEASE + 0.001, 2 * LEASE]) time.after(at + later, () => check(id))
  }
  for (let count = Math.floor(random() * 4); count > 0; count--) {
    const at = between(0, end)
    time.after(at, pick([
      () => { if (channel !== null) cut(channel, between(0, 0.005)) },
      () => { if (channel !== null) channel.isMute = true },
      () => {
        isStoreDown = true
        time.after(between(0.1, 1), () => { isStoreDown = false })
      },
      () => handlers?.changed()
    ]))
    // A revocation while the link is in trouble, and again while it comes back.
    if (random() < 0.7) time.after(at + between(0, slowest.reconnect), () => revoke(pick(ids)))
  }
  await time.run(end + 4)
  await live.close()
  return violations
}

import { isEnded, refOf, type Bench } from './bench'
import type { RevocationStore, SessionRef, WatchHandlers } from '../../types'

type Link = Parameters<WatchHandlers['ready']>[0]

/** A watch that keeps what it was told. */
export interface Watch {
  /** The link of the current subscription; waits for one. */
  link (): Promise<Link>
  isCurrent (link: Link): boolean
  /** Says which session is about to be revoked, so that what is told of it is looked into. */
  expect (ref: SessionRef): void
  /** Whether the revocation was announced: by name, or by `changed` once `read` shows it. */
  isTold (ref: SessionRef): boolean
  /** Which of these were not announced until now. */
  missing (refs: readonly SessionRef[]): Promise<string[]>
  /** Which sessions were named although `read`, asked at that moment, still answered them as live. */
  early (): Promise<string[]>
  /** Every id that was named. */
  named (): readonly string[]
  /** How often the store called, `lost` left aside. */
  calls (): number
  /** Ends the watch; the second call does nothing. */
  close (): Promise<void>
}

export function watchOn (bench: Bench, node: RevocationStore): Watch {
  const expected = new Map<string, SessionRef>()
  const named: string[] = []
  const early: string[] = []
  const shownByChange = new Set<string>()
  // A `changed` names nobody, so it counts for those sessions that a read started in it shows as ended.
  const looks: Promise<unknown>[] = []
  let current: Link | undefined
  let calls = 0
  let closing: Promise<void> | undefined

  function look (refs: readonly SessionRef[], answer: (ref: SessionRef, isLive: boolean) => void): void {
    if (refs.length === 0) return
    const seen = (async () => {
      const records = await node.read(refs)
      for (const ref of refs) answer(ref, !isEnded(records.find(({ id, subject }) => id === ref.id && subject === ref.subject)))
    })()
    looks.push(seen)
    // Whoever asks for the result hears of the failure.
    seen.catch(() => {})
  }

  const isTold = ({ id }: SessionRef): boolean => named.includes(id) || shownByChange.has(id)

  const subscription = (node as Required<RevocationStore>).watch({
    ready (link) {
      calls++
      current = link
    },
    lost () {
      current = undefined
    },
    revoked (ids) {
      calls++
      named.push(...ids)
      look(ids.flatMap((id) => expected.get(id) ?? []), ({ id }, isLive) => { if (isLive) early.push(id) })
    },
    changed () {
      calls++
      look(Array.from(expected.values()).filter((ref) => !isTold(ref)), ({ id }, isLive) => { if (!isLive) shownByChange.add(id) })
    }
  })

  return {
    isTold,
    named: () => named,
    calls: () => calls,
    isCurrent: (link) => link === current,
    expect (ref) { expected.set(ref.id, refOf(ref)) },

    async link () {
      await bench.until('ready is called', () => current !== undefined)
      return current as Link
    },

    async missing (refs) {
      const unnamed = refs.filter((ref) => !isTold(ref))
      await Promise.all(looks)
      return unnamed.filter(({ id }) => !shownByChange.has(id)).map(({ id }) => id)
    },

    async early () {
      await Promise.all(looks)
      return early
    },

    close () {
      closing ??= (async () => { await subscription.close() })()
      return closing
    }
  }
}

import type { Answer } from '../support/session-nodes'

/** After a fault: clients reconnect, and machines are slow. */
const GRACE_MS = 5000
/** No answer takes longer: a login that waits for a store that stands still waits several times. */
const ANSWER_LIMIT_MS = 10_000
/** How long a silent subscription may be trusted, and some for a machine that is busy. */
const LEASE_MS = 1500 + 400
/** How late a node that hears may be: README says milliseconds; this is for a machine that is busy. */
const HEARING_MS = 500

/** What is answered without the store, and so in every fault. */
const STORELESS = new Set(['guard, forged token', 'guard, no token', 'guard, no header', 'guard, other context', 'refresh, junk', 'cookie, other site'])

export type Place = 'redis' | 'postgres'

/** A time in which a store need not answer. */
interface Window { readonly from: number, to: number }

interface Row { readonly statuses: Map<string, number>, readonly times: number[], longest: number }

/** What was asked and answered, what was allowed, and what should not have been. */
export class Ledger {
  readonly violations: string[] = []
  readonly rows = new Map<string, Row>()
  readonly notes = new Map<string, number>()
  readonly #windows: Record<Place, Window[]> = { redis: [], postgres: [] }
  readonly #lostAt: Record<Place, number> = { redis: 0, postgres: 0 }
  readonly #started = Date.now()
  #last: readonly string[] = []
  /** How late other nodes were to refuse what one had ended, outside of faults. */
  readonly lateness: number[] = []
  /** How long closing took, by the state. */
  readonly closes = new Map<string, number[]>()
  requests = 0

  violate (text: string): void {
    const line = `${((Date.now() - this.#started) / 60_000).toFixed(2)} min: ${text} (before it: ${this.#last.join(', ')})`
    this.violations.push(line)
    console.log(`VIOLATION ${line}`)
  }

  closed (state: string, ms: number): void {
    this.closes.set(state, [...this.closes.get(state) ?? [], ms])
  }

  note (name: string): void {
    this.#last = [...this.#last.slice(-3), `${name} at ${((Date.now() - this.#started) / 60_000).toFixed(2)}`]
    this.notes.set(name, (this.notes.get(name) ?? 0) + 1)
  }

  /** From now on the store need not answer; call the answer when it has to again. */
  openWindow (place: Place, from = Date.now()): () => void {
    const window = { from, to: Infinity }
    this.#windows[place].push(window)
    this.#windows[place] = this.#windows[place].filter(({ to }) => to > Date.now() - 120_000)
    return () => { window.to = Date.now() }
  }

  /** Whether a fault touches a time. */
  isExcused (place: Place, from: number, to = Date.now()): boolean {
    return this.#windows[place].some((window) => window.from <= to && from <= window.to + GRACE_MS)
  }

  /** The sessions of before were lost on purpose. */
  lose (place: Place): void {
    this.#lostAt[place] = Date.now()
  }

  hasLost (place: Place, since: number): boolean {
    return since <= this.#lostAt[place]
  }

  /** Counts an answer, and holds it against what may be answered: `200`, or `401 TOKEN_EXPIRED`. */
  judge (place: Place, kind: string, answer: Answer, allowed: readonly string[]): void {
    const { status, code, ms, sentAt } = answer
    const name = code === undefined ? String(status) : `${status} ${code}`
    const row: Row = this.rows.get(kind) ?? { statuses: new Map(), times: [], longest: 0 }
    this.rows.set(kind, row)
    row.statuses.set(name, (row.statuses.get(name) ?? 0) + 1)
    row.times.push(ms)
    row.longest = Math.max(row.longest, ms)
    this.requests++
    if (ms > ANSWER_LIMIT_MS) this.violate(`${kind} at ${place} took ${Math.round(ms)} ms`)
    if (allowed.includes(name)) return
    if (name === '503 STORE_UNAVAILABLE' && !STORELESS.has(kind) && this.isExcused(place, sentAt)) return
    this.violate(`${kind} at ${place} was answered by ${name}`)
  }

  /** A session was ended at `endedAt`, and a request that was sent at `sentAt` was let in all the same. */
  accepted (place: Place, what: string, bornAt: number, endedAt: number, sentAt: number, byWhomEnded: boolean): void {
    const late = sentAt - endedAt
    // What a store has lost it cannot end for others, who go on for up to a minute with what they remember: README says so.
    if (!byWhomEnded && this.hasLost(place, bornAt) && !this.hasLost(place, sentAt - 61_000)) this.violate(`${what} at ${place} was remembered for more than a minute`)
    if (!byWhomEnded && this.hasLost(place, bornAt)) return this.note(`${place}: a lost session was still remembered by another node`)
    if (late > LEASE_MS || byWhomEnded) this.violate(`${what} at ${place} was let in ${late} ms after its end${byWhomEnded ? ', by the node that ended it' : ''}`)
    else if (late > HEARING_MS && !this.isExcused(place, endedAt - 1500)) this.violate(`${what} at ${place} was let in ${late} ms after its end, by a node that hears`)
  }

  table (): string {
    const lines = ['| request | answers | p50 / p99 / longest, ms |', '| --- | --- | ---: |']
    for (const [kind, { statuses, times, longest }] of Array.from(this.rows).sort()) {
      times.sort((one, other) => one - other)
      const at = (share: number) => Math.round(times[Math.floor(times.length * share)] as number)
      const counts = Array.from(statuses).sort().map(([name, count]) => `${name}: ${count}`)
      lines.push(`| ${kind} | ${counts.join(', ')} | ${at(0.5)} / ${at(0.99)} / ${Math.round(longest)} |`)
    }
    return lines.join('\n')
  }
}

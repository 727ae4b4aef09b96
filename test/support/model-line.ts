import { AsyncLocalStorage } from 'node:async_hooks'
import { after } from '../../lib/awaitable'
import { TIMEOUT_MS, type ModelTime } from './model-time'
import type { Request } from './model-cluster'
import type { Trouble } from './model'
import type { Mishap } from './model-history'
import type { Awaitable, RevocationStore, SessionRecord } from '../../types'

/** How late what is late is, in seconds. */
const SLOW = 0.4
const TOO_LATE = 2

/** A request at work: what befalls its store calls, and what came of it. */
export interface Work {
  readonly request: Request
  calls: number
  /** Nothing gets through any more. */
  isLasting: boolean
  trouble: Trouble
  first?: number | null
}

/** The way from nodes to their store, and what may happen on it. */
export interface Lines {
  /** Runs a request, whose store calls are known by it from then on. */
  run<T> (work: Work, call: () => T): T
  /** The store as a node reaches it. */
  to (store: RevocationStore, node: number): Pick<RevocationStore, 'read' | 'write' | 'list'>
  /** Requests that are under way together. */
  atWork: readonly Work[]
  /** Nodes that reach no store. */
  readonly outages: Set<number>
  /** Whether nothing is on its way any more. */
  isCalm (): boolean
  /** Every connection ends, with all that is on its way. */
  cut (): void
}

type Call = 'read' | 'write' | 'list'

/** @param written is told of each record that was written. */
export function lines (time: ModelTime, written: (record: SessionRecord) => void): Lines {
  const works = new AsyncLocalStorage<Work>()
  const outages = new Set<number>()
  let onTheirWay = 0
  let incarnation = 0

  /** Requests of one node share their reads. */
  function afflict (work: Work, name: Call, kind: Mishap['kind']): void {
    if (kind === 'slow' || kind === 'slowly') return
    if (name === 'write') work.trouble = work.trouble === 'none' && (kind === 'after' || kind === 'mute') ? 'unheard' : 'any'
    else for (const other of self.atWork) if (other.request.node === work.request.node) other.trouble = 'any'
  }

  /** A call on its way through whatever befalls it. */
  function send<T> (name: Call, node: number, call: () => Awaitable<T>): Awaitable<T> {
    const work = works.getStore()
    if (work === undefined) return outages.has(node) ? Promise.reject(new Error('There is no way to the store')) : time.really(call)
    const { mishap, paces } = work.request
    const index = work.calls++
    if (work.isLasting || outages.has(node)) {
      afflict(work, name, 'before')
      return Promise.reject(new Error('There is no way to the store'))
    }
    const kind = mishap?.at === index ? mishap.kind : undefined
    if (kind !== undefined) {
      work.isLasting = mishap?.lasts === true
      afflict(work, name, kind)
    }
    const [there = 0, back = 0] = paces.slice(2 * index, 2 * index + 2)
    return kind === undefined && there === 0 && back === 0 ? time.really(call) : befall(kind, there / 1000, back / 1000, call)
  }

  async function befall<T> (kind: Mishap['kind'] | undefined, there: number, back: number, call: () => Awaitable<T>): Promise<T> {
    const mine = incarnation
    onTheirWay++
    try {
      if (kind === 'before') throw new Error('It was not applied')
      await time.wait(there)
      if (kind === 'gone') return await never()
      await time.wait(kind === 'late' ? TOO_LATE : kind === 'slow' ? SLOW : 0)
      if (mine !== incarnation) throw new Error('The connection has ended')
      const answer = await time.really(call)
      if (kind === 'after') throw new Error('It was applied')
      if (kind === 'mute') return await never()
      await time.wait(kind === 'slowly' ? SLOW : back)
      return answer
    } finally {
      onTheirWay--
    }
  }

  /** Counts as under way until it has been given up. */
  async function never (): Promise<never> {
    await time.wait(TIMEOUT_MS / 1000 + 0.05)
    throw new Error('It was given up long ago')
  }

  /** What a refresh reads first is what it goes by. */
  function noteFirst (records: readonly SessionRecord[]): readonly SessionRecord[] {
    const work = works.getStore()
    if (work?.request.do !== 'refresh' || work.first !== undefined) return records
    const { id } = work.request.tokens
    work.first = records.find((record) => record.id === id && !record.revoked)?.state.generation ?? null
    return records
  }

  const self: Lines = {
    atWork: [],
    outages,
    run: (work, call) => works.run(work, call),
    isCalm: () => onTheirWay === 0,
    cut () { incarnation++ },
    to: (store, node) => ({
      read: (refs) => after(send('read', node, () => store.read(refs)), noteFirst),
      list: (subject) => send('list', node, () => store.list(subject)),
      write: (record, expected) => send('write', node, () => after(store.write(record, expected), (isWritten) => {
        if (isWritten) written(record)
        return isWritten
      }))
    })
  }
  return self
}

import { isPromise } from '../awaitable'
import { timing } from '../clock'
import { sessionError } from '../errors'
import { isRecord } from '../record'
import type { Awaitable, RevocationStore, StoreCall } from '../../types'

/** The calls of a store that sessions are made of. */
export type BoundedStore = Pick<RevocationStore, 'read' | 'write' | 'list'>

/** Whom a store is reported to. */
export interface StoreReports {
  /** Hears of the first failure after every success. */
  failed (cause: unknown): void
  /** Who wants to hear of a call whose answer has to be waited for, if anybody does. For nobody, no clock is read. */
  listener (): ((call: StoreCall) => void) | undefined
}

const nobody: StoreReports = { failed () {}, listener: () => undefined }

/**
 * Any store, but each call settles within `timeout` seconds and fails in one way only: with `STORE_UNAVAILABLE`. An answer of
 * the wrong form counts as a failure too.
 */
export function boundedStore (store: RevocationStore, timeout: number, reports = nobody): BoundedStore {
  let isFailing = false

  function unavailable (cause: unknown): Error {
    if (!isFailing) reports.failed(cause)
    isFailing = true
    return sessionError('STORE_UNAVAILABLE', { cause })
  }

  function ask<T> (operation: StoreCall['operation'], call: () => Awaitable<T>, isSound: (answer: T) => boolean): Awaitable<T> {
    const check = (answer: T): T => {
      if (!isSound(answer)) throw new TypeError('The store answered something else than its interface says')
      isFailing = false
      return answer
    }
    try {
      const answer = call()
      if (!isPromise(answer)) return check(answer)
      const bounded = within(answer, timeout).then(check).catch((error) => { throw unavailable(error) })
      const tell = reports.listener()
      if (tell !== undefined) measure(operation, bounded, tell)
      return bounded
    } catch (error) {
      throw unavailable(error)
    }
  }

  return {
    // Copies: these are remembered with their tokens, and a store that changed one would change whom a token is of.
    read: (refs) => ask('read', () => store.read(refs.map(({ id, subject }) => ({ id, subject }))), areRecords),
    write: (record, expected) => ask('write', () => store.write(record, expected), (answer) => typeof answer === 'boolean'),
    list: (subject) => ask('list', () => store.list(subject), areRecords)
  }
}

function measure (operation: StoreCall['operation'], answer: Promise<unknown>, tell: (call: StoreCall) => void): void {
  const since = timing.steady()
  const settled = (outcome: StoreCall['outcome']) => () => tell({ operation, duration: timing.steady() - since, outcome })
  answer.then(settled('answered'), settled('failed'))
}

/** An answer, if it comes in time. */
export function within<T> (answer: Promise<T>, timeout: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`The store did not answer within ${timeout} s`)), timeout * 1000)
    answer.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

function areRecords (answer: unknown): boolean {
  return Array.isArray(answer) && answer.every(isRecord)
}

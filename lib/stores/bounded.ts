import { isPromise } from '../awaitable'
import { sessionError } from '../errors'
import { isRecord } from '../record'
import type { Awaitable, RevocationStore } from '../../types'

/** The calls of a store that sessions are made of. */
export type BoundedStore = Pick<RevocationStore, 'read' | 'write' | 'list'>

/**
 * Any store, but each call settles within `timeout` seconds and fails in one way only: with `STORE_UNAVAILABLE`. An answer of
 * the wrong form counts as a failure too. `tell` hears of the first failure after every success.
 */
export function boundedStore (store: RevocationStore, timeout: number, tell: (cause: unknown) => void = () => {}): BoundedStore {
  let isFailing = false

  function unavailable (cause: unknown): Error {
    if (!isFailing) tell(cause)
    isFailing = true
    return sessionError('STORE_UNAVAILABLE', { cause })
  }

  function ask<T> (call: () => Awaitable<T>, isSound: (answer: T) => boolean): Awaitable<T> {
    const check = (answer: T): T => {
      if (!isSound(answer)) throw new TypeError('The store answered something else than its interface says')
      isFailing = false
      return answer
    }
    try {
      const answer = call()
      return isPromise(answer) ? within(answer, timeout).then(check).catch((error) => { throw unavailable(error) }) : check(answer)
    } catch (error) {
      throw unavailable(error)
    }
  }

  return {
    read: (refs) => ask(() => store.read(refs), areRecords),
    write: (record, expected) => ask(() => store.write(record, expected), (answer) => typeof answer === 'boolean'),
    list: (subject) => ask(() => store.list(subject), areRecords)
  }
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

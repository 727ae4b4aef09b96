import type { Awaitable } from '../types'

/** Whether an answer has still to be waited for. */
export function isPromise<T> (value: Awaitable<T>): value is Promise<T> {
  // Most of what comes here is a boolean: no member is looked for there.
  return typeof value !== 'boolean' && typeof (value as Promise<T> | null | undefined)?.then === 'function'
}

/** Goes on with an answer: at once when it is there, so that a store which answers at once costs no promise. */
export function after<T, R> (value: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> {
  return isPromise(value) ? value.then(next) : next(value)
}

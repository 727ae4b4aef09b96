import type { Awaitable } from '../types'

/** Whether an answer has still to be waited for. */
export function isPromise<T> (value: Awaitable<T>): value is Promise<T> {
  // Much of what comes here is a boolean: no member is looked for there.
  return typeof value !== 'boolean' && typeof (value as Promise<T> | null | undefined)?.then === 'function'
}

/**
 * Goes on with an answer: at once when it is there, so that a store which answers at once costs no promise. Where requests are
 * guarded, whatever else `next` needs is handed on, as a closure would have to be made for every one of them.
 */
export function after<T, R> (value: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R>
export function after<T, R, A> (value: Awaitable<T>, next: (value: T, a: A) => Awaitable<R>, a: A): Awaitable<R>
export function after<T, R, A, B> (value: Awaitable<T>, next: (value: T, a: A, b: B) => Awaitable<R>, a: A, b: B): Awaitable<R>
export function after<T, R, A, B> (
  value: Awaitable<T>, next: (value: T, a: A | undefined, b: B | undefined) => Awaitable<R>, a?: A, b?: B
): Awaitable<R> {
  return isPromise(value) ? later(value, next, a, b) : next(value, a, b)
}

async function later<T, R, A, B> (value: Promise<T>, next: (value: T, a: A, b: B) => Awaitable<R>, a: A, b: B): Promise<R> {
  return await next(await value, a, b)
}

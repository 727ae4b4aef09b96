import type { RateLimiterAbstract } from 'rate-limiter-flexible'

/** What is counted, under which name: up to `points` within `duration` seconds. */
export interface LimiterOptions {
  readonly keyPrefix: string
  readonly points: number
  readonly duration: number
}

/**
 * The property of a store under which it makes limiters that count where its sessions live, so that all nodes count together.
 * Not a part of the contract of stores: a store without it is as good, and each node counts alone.
 */
export const LIMITER = Symbol.for('fastify-jwt-session.limiter')

/** A store that can count. */
export interface CountingStore {
  readonly [LIMITER]?: (options: LimiterOptions) => RateLimiterAbstract
}

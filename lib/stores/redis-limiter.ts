import { RateLimiterRedis } from 'rate-limiter-flexible'
import type { CountingStore, LIMITER } from '../limiter'
import type { RedisConnection } from './redis-client'

/** Makes limiters that count in Redis, through whatever client there is: what they need of one is two commands. */
export function redisLimiter (send: RedisConnection['send'], prefix: string): NonNullable<CountingStore[typeof LIMITER]> {
  const storeClient = {
    eval: (script: string, { keys: [key], arguments: args }: { keys: [string], arguments: string[] }) =>
      send(key, 'EVAL', script, '1', key, ...args),
    del: (key: string) => send(key, 'DEL', key)
  }
  return (options) => new RateLimiterRedis({ ...options, keyPrefix: `${prefix}${options.keyPrefix}`, storeClient, useRedisPackage: true })
}

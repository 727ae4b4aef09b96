import { Cluster, Redis } from 'ioredis'
import { createClient, createClientPool, createCluster } from 'redis'
import { describe, expect, test } from 'tstyche'
import { redisStore, type RedisClient, type RedisStoreOptions } from '../lib/stores/redis'
import type { RevocationStore } from '.'

describe('redisStore', () => {
  test('takes the clients of ioredis and node-redis', () => {
    expect(redisStore).type.toBeCallableWith(new Redis())
    expect(redisStore).type.toBeCallableWith(new Redis({ replyMapping: 'resp3' }))
    expect(redisStore).type.toBeCallableWith(new Cluster([]))
    expect(redisStore).type.toBeCallableWith(createClient())
    expect(redisStore).type.toBeCallableWith(createClient({ RESP: 2, url: 'redis://127.0.0.1' }))
    expect(redisStore).type.toBeCallableWith(createCluster({ rootNodes: [] }))
  })

  test('takes nothing else', () => {
    expect(redisStore).type.not.toBeCallableWith()
    expect(redisStore).type.not.toBeCallableWith({})
    expect(redisStore).type.not.toBeCallableWith('redis://127.0.0.1')
    expect(redisStore).type.not.toBeCallableWith(createClientPool())
    expect<RedisStoreOptions>().type.not.toBeAssignableFrom<{ waitReplicas: { count: number } }>()
    expect<RedisStoreOptions>().type.toBeAssignableFrom<{ prefix: string, waitReplicas: { count: number, timeoutMs: number } }>()
  })

  test('is a store', () => {
    expect(redisStore({} as RedisClient)).type.toBe<RevocationStore>()
  })
})

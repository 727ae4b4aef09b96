import { Client, Pool, type ClientConfig } from 'pg'
import { describe, expect, test } from 'tstyche'
import type { RevocationStore } from './store'
import { postgresStore, type PostgresPool, type PostgresStore, type PostgresStoreOptions } from '../lib/stores/postgres'

describe('postgresStore', () => {
  const pool = new Pool()

  test('takes a pool of pg, and nothing less', () => {
    expect<PostgresPool>().type.toBeAssignableFrom<Pool>()
    expect(postgresStore).type.toBeCallableWith(pool)
    expect(postgresStore).type.not.toBeCallableWith(new Client())
    expect(postgresStore).type.not.toBeCallableWith('postgres://127.0.0.1')
    expect(postgresStore).type.not.toBeCallableWith({ query () {} })
  })

  test('is a whole store, with a migration', () => {
    const store = postgresStore(pool, { schema: 'app', table: 'sessions', channel: 'sessions' })
    expect(store).type.toBe<PostgresStore>()
    expect<RevocationStore>().type.toBeAssignableFrom<PostgresStore>()
    expect(store.migrate()).type.toBe<Promise<void>>()
    expect(store.migration).type.toBe<string>()
    expect(store.prune).type.toBeCallableWith(0, 100)
    expect(store.watch).type.toBeCallableWith({ ready () {}, lost () {}, revoked () {}, changed () {} })
  })

  test('listens with the settings of a client, or with a client that is made for it', () => {
    type Listen = NonNullable<PostgresStoreOptions['listen']>
    expect<Listen>().type.toBeAssignableFrom<ClientConfig>()
    expect<Listen>().type.toBeAssignableFrom<() => Client>()
    expect<Listen>().type.toBeAssignableFrom<() => Promise<Client>>()
    expect<Listen>().type.not.toBeAssignableFrom<() => string>()
    expect<Listen>().type.not.toBeAssignableFrom<string>()
    expect(postgresStore).type.toBeCallableWith(pool, { listen: { connectionString: 'postgres://127.0.0.1', ssl: true } })
    expect(postgresStore).type.not.toBeCallableWith(pool, { tabel: 'sessions' })
  })
})

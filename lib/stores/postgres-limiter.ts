import { RateLimiterPostgres } from 'rate-limiter-flexible'
import type { CountingStore, LIMITER } from '../limiter'
import type { PostgresResult } from './postgres-pool'

/** The SQL of the table in which limiters count. */
export function countersTable (place: string): string {
  return `create table if not exists ${place} (
  key text collate "C" primary key,
  points integer not null,
  expire bigint
) with (fillfactor = 50);
`
}

/** Makes limiters that count in a table of PostgreSQL. They are to be pruned. */
export function postgresLimiter (
  ask: (text: string, values: unknown[]) => Promise<PostgresResult>, tableName: string, schemaName: string | undefined
): NonNullable<CountingStore[typeof LIMITER]> {
  // Without its name, so that any pooler may stand in between.
  const storeClient = { query: ({ text, values }: { text: string, values: unknown[] }) => ask(text, values) }
  return (options) => new RateLimiterPostgres({
    ...options,
    storeClient,
    storeType: 'pool',
    tableName,
    ...(schemaName === undefined ? {} : { schemaName }),
    tableCreated: true,
    clearExpiredByTimeout: false
  })
}

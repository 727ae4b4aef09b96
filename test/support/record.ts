import type { SessionRecord } from '../../types'

/** A record as the plugin writes it, of a session that was opened now. */
export function sampleRecord (id: string, change: Partial<SessionRecord> = {}): SessionRecord {
  const now = Date.now() / 1000
  return {
    id,
    subject: 'alice',
    revision: 1,
    expiresAt: now + 3600,
    revoked: false,
    state: { generation: 0, rotatedAt: now, seen: false, authTime: now, createdAt: now, idleExpiresAt: now + 60, device: { ip: '::1' } },
    ...change
  }
}

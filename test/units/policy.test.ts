import fc from 'fast-check'
import t from 'tap'
import { decide, INTERVALS, type Verdict } from '../../lib/policy'
import { endOf } from '../../lib/record'
import type { SessionRecord } from '../../types'

const NOW = 1_800_000_000

function record (state: Partial<SessionRecord['state']> = {}, change: Partial<SessionRecord> = {}): SessionRecord {
  return {
    id: 'sid',
    subject: 'alice',
    revision: 3,
    expiresAt: NOW + 1000,
    revoked: false,
    state: { generation: 5, rotatedAt: NOW - 100, seen: false, authTime: NOW, createdAt: NOW, idleExpiresAt: NOW + 500, device: {}, ...state },
    ...change
  }
}

/** The table of the policy, a row each. */
const rows: {
  name: string, rotation: 'strict' | 'tolerant', presented: number, age: number, seen?: boolean, overlapped?: boolean, verdict: Verdict
}[] = [
  { name: 'the current generation is rotated', rotation: 'strict', presented: 5, age: 0, verdict: { action: 'rotate', to: 6, regressed: false } },
  { name: 'the current generation of another node, whose clock is ahead, is rotated', rotation: 'strict', presented: 5, age: -30, verdict: { action: 'rotate', to: 6, regressed: false } },
  { name: 'the generation before is reuse at once', rotation: 'strict', presented: 4, age: 0, verdict: { action: 'revoke' } },
  { name: 'an ancestor is reuse', rotation: 'strict', presented: 0, age: 0, verdict: { action: 'revoke' } },
  { name: 'an overlapping request gets the current generation', rotation: 'strict', presented: 4, age: 0, overlapped: true, verdict: { action: 'repeat', recovered: false, seen: false } },
  { name: 'a token from the future rotates past itself', rotation: 'strict', presented: 9, age: 0, verdict: { action: 'rotate', to: 10, regressed: true } },
  { name: 'a young generation is repeated', rotation: 'tolerant', presented: 5, age: 9.999, verdict: { action: 'repeat', recovered: false, seen: true } },
  { name: 'a grown generation is rotated', rotation: 'tolerant', presented: 5, age: 10, verdict: { action: 'rotate', to: 6, regressed: false } },
  { name: 'the generation before is repeated within the reuse interval, seen or not', rotation: 'tolerant', presented: 4, age: 9.999, seen: true, verdict: { action: 'repeat', recovered: false, seen: false } },
  { name: 'the generation before is recovered within the recovery interval', rotation: 'tolerant', presented: 4, age: 10, verdict: { action: 'repeat', recovered: true, seen: false } },
  { name: 'until its end', rotation: 'tolerant', presented: 4, age: 3599.999, verdict: { action: 'repeat', recovered: true, seen: false } },
  { name: 'but not when its successor was seen', rotation: 'tolerant', presented: 4, age: 10, seen: true, verdict: { action: 'revoke' } },
  { name: 'nor after it', rotation: 'tolerant', presented: 4, age: 3600, verdict: { action: 'revoke' } },
  { name: 'the generation before that is always reuse', rotation: 'tolerant', presented: 3, age: 0, verdict: { action: 'revoke' } }
]

for (const { name, rotation, presented, age, seen = false, overlapped = false, verdict } of rows) {
  t.test(`${rotation}: ${name}`, async (t) => {
    const before = record({ rotatedAt: NOW - age, seen })
    t.strictSame(decide(before, presented, overlapped, NOW, INTERVALS[rotation]), verdict)
  })
}

t.test('a session that is not live is refused, whatever is presented', async (t) => {
  const dead: [SessionRecord, string][] = [
    [record({}, { revoked: true }), 'revoked'],
    [record({}, { expiresAt: NOW }), 'expired'],
    [record({ idleExpiresAt: NOW }), 'expired'],
    [record({ idleExpiresAt: NOW }, { revoked: true }), 'revoked']
  ]
  for (const [session, reason] of dead) {
    for (const presented of [0, 4, 5, 6]) {
      t.strictSame(decide(session, presented, true, NOW, INTERVALS.tolerant), { action: 'refuse', reason })
    }
  }
  t.equal(endOf(record(), NOW), undefined)
  t.equal(endOf(record({ idleExpiresAt: NOW + 0.001 }, { expiresAt: NOW + 0.001 }), NOW), undefined, 'the last instant counts')
})

t.test('whatever the history, generations only grow, by rotation only, and strict never recovers', async () => {
  fc.assert(fc.property(
    fc.nat(20), fc.nat(20), fc.boolean(), fc.boolean(), fc.double({ min: -100, max: 10_000, noNaN: true }), fc.constantFrom('strict' as const, 'tolerant' as const),
    (generation, presented, seen, overlapped, age, rotation) => {
      const verdict = decide(record({ generation, seen, rotatedAt: NOW - age }), presented, overlapped, NOW, INTERVALS[rotation])
      if (verdict.action === 'rotate') return verdict.to > generation && presented >= generation
      if (verdict.action === 'repeat') return presented <= generation && (rotation === 'tolerant' || overlapped)
      return verdict.action === 'revoke' && presented < generation && !overlapped
    }
  ), { numRuns: 5000 })
})

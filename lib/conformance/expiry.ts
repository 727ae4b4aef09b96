import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { now } from '../clock'
import { assertHolds, draft, put, readOne, revoked, rotated, type Bench, type Chapter } from './bench'
import type { SessionRecord } from '../../types'

/** How long the short sessions live at least, and how long the kit waits for stores that count in whole seconds, in seconds. */
const SHORT = 0.5
const WAIT = 1.2

/** A store may drop what has expired, and nothing else. */
export const expiry: Chapter = {
  'an expired session is left out or answered as it was, and no call fails': async (bench) => {
    const live = draft()
    const expired = draft({ subject: live.subject, expiresAt: Math.floor(now()) - 10 })
    await put(bench.nodes[0], live)
    const isWritten = await bench.nodes[0].write(expired, 0)
    assert.equal(typeof isWritten, 'boolean', 'write must answer whether it wrote, also for a record that has expired')
    for (const node of bench.nodes) await answersNothingElse(node, expired)

    for (const next of [rotated(expired), revoked(expired)]) {
      assert.equal(await bench.nodes[1].write(next, 7), false, 'write must answer false: the stored revision is not 7')
    }
    const end = revoked(expired)
    const isEnded = await bench.nodes[1].write(end, 1)
    for (const node of bench.nodes) {
      if (isEnded) assert.ok((await readOne(node, expired))?.revoked !== false, 'read must not answer a live record of a revoked session')
      else await answersNothingElse(node, expired)
    }
    await stillThere(bench, [live])
  },

  'a session that expires takes no other session of its subject with it': async (bench) => {
    const [node] = bench.nodes
    const soon = Math.ceil(now() + SHORT)
    const subjects = Array.from({ length: 4 }, () => draft().subject) as [string, string, string, string]
    const long = subjects.map((subject) => draft({ subject })) as [SessionRecord, SessionRecord, SessionRecord, SessionRecord]
    const short = subjects.map((subject) => draft({ subject, expiresAt: soon })) as typeof long
    const longest = draft({ subject: subjects[3], expiresAt: long[3].expiresAt + 60 })

    // The short one is the last to be created; the first; the last to be written over; and the longest one ends before it.
    for (const record of [long[0], short[0], short[1], long[1], long[2], short[2], longest, long[3], short[3]]) await put(node, record)
    await put(node, rotated(short[2]))
    await put(node, revoked(longest))
    await sleep((soon - now() + WAIT) * 1000)

    await stillThere(bench, long)
    for (const record of [short[0], short[1], short[3]]) for (const reader of bench.nodes) await answersNothingElse(reader, record)
    const next = rotated(long[0])
    await put(node, next)
    await stillThere(bench, [next])
  }
}

/** The expired record itself, or nothing. */
async function answersNothingElse (node: Bench['nodes'][0], expired: SessionRecord): Promise<void> {
  const found = await readOne(node, expired)
  if (found !== undefined) assert.deepStrictEqual(found, expired)
  const listed = (await node.list(expired.subject)).find(({ id }) => id === expired.id)
  if (listed !== undefined) assert.deepStrictEqual(listed, expired)
}

async function stillThere (bench: Bench, records: readonly SessionRecord[]): Promise<void> {
  for (const record of records) {
    await assertHolds(bench, record)
    for (const node of bench.nodes) {
      assert.deepStrictEqual((await node.list(record.subject)).find(({ id }) => id === record.id), record, 'list must answer a session that has not expired')
    }
  }
}

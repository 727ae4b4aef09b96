import assert from 'node:assert/strict'
import { now } from '../clock'
import { assertHolds, cycle, draft, put, readOne, type Bench, type Chapter } from './bench'
import type { RevocationStore, SessionRecord } from '../../types'

/** How many records have expired, and how many may be deleted at a time. */
const EXPIRED = 7
const LIMIT = 3

/** How many calls it may take until nothing is left. */
const MANY = 1000

/** Deletion of what has expired. The times are past, so that no other test's records are concerned. */
export const prune: Chapter = {
  'prune deletes no session that has not expired': async (bench) => {
    const { nodes } = bench
    const time = Math.floor(now()) - 50_000
    const live = [draft(), draft()]
    for (const record of live) await put(nodes[0], record)
    // Expired by the wall clock, but not at the time that prune is told.
    const later = draft({ expiresAt: time + 0.9 })
    await nodes[0].write(later, 0)
    const wasThere = await readOne(nodes[0], later) !== undefined
    await pruneAll(nodes[0], time + 0.5)
    for (const record of live) {
      await assertHolds(bench, record)
      assert.deepStrictEqual([...await nodes[0].list(record.subject)], [record])
    }
    if (wasThere) await assertHolds(bench, later)
  },

  'prune deletes up to `limit` expired sessions and answers how many, until none is left': async ({ nodes }) => {
    const time = Math.floor(now()) - 40_000
    const expired = Array.from({ length: EXPIRED }, () => draft({ expiresAt: time - 5 }))
    // What an earlier run of the kit may have left.
    await pruneAll(nodes[0], time)
    for (const record of expired) await nodes[0].write(record, 0)
    const before = await count(nodes[0], expired)
    const deleted = await pruneAll(nodes[1], time)
    assert.equal(await count(nodes[0], expired), 0, 'no expired session must be left once prune answers 0')
    assert.ok(deleted >= before && deleted <= EXPIRED, `prune must answer how many it deleted: there were ${before}, and it answered ${deleted} in all`)
  },

  'handles that prune at once delete each expired session once': async ({ nodes }) => {
    const time = Math.floor(now()) - 30_000
    const expired = Array.from({ length: EXPIRED }, () => draft({ expiresAt: time - 5 }))
    await pruneAll(nodes[0], time)
    for (const record of expired) await nodes[0].write(record, 0)
    const before = await count(nodes[0], expired)
    const answers = await Promise.all(Array.from({ length: 6 }, (_, index) => pruneSome(cycle(nodes, index), time)))
    const deleted = answers.reduce((sum, answer) => sum + answer, 0) + await pruneAll(nodes[0], time)
    assert.ok(deleted >= before && deleted <= EXPIRED, `${EXPIRED} sessions had expired, and prune answered ${deleted} in all`)
    assert.equal(await count(nodes[1], expired), 0)
  }
}

async function pruneSome (node: RevocationStore, time: number): Promise<number> {
  const deleted = await (node as Required<RevocationStore>).prune(time, LIMIT)
  assert.ok(Number.isInteger(deleted) && deleted >= 0 && deleted <= LIMIT, `prune must answer a number from 0 to ${LIMIT}, not ${deleted}`)
  return deleted
}

async function pruneAll (node: RevocationStore, time: number): Promise<number> {
  let total = 0
  for (let calls = 0; calls < MANY; calls++) {
    const deleted = await pruneSome(node, time)
    if (deleted === 0) return total
    total += deleted
  }
  return assert.fail(`prune must answer 0 once nothing is left to delete: it did not in ${MANY} calls`)
}

async function count (node: Bench['nodes'][0], records: readonly SessionRecord[]): Promise<number> {
  return (await node.read(records.map(({ id, subject }) => ({ id, subject })))).length
}

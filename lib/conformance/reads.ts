import assert from 'node:assert/strict'
import { cycle, draft, put, refOf, sorted, uniqueName, type Chapter } from './bench'

/** How many sessions are asked for at once: as many again are not there. */
const MANY = 50

/** What read answers. */
export const reads: Chapter = {
  'a read of many sessions answers each that has a record, and no other': async ({ nodes }) => {
    const records = Array.from({ length: MANY }, () => draft())
    const strangers = Array.from({ length: MANY }, () => draft())
    await Promise.all([...records, draft()].map((record, index) => put(cycle(nodes, index), record)))
    const refs = sorted([...records, ...strangers]).map(refOf)
    for (const node of nodes) assert.deepStrictEqual(sorted(await node.read(refs)), sorted(records))
  },

  'a session that is asked for twice is answered': async ({ nodes }) => {
    const records = [draft(), draft()] as const
    for (const record of records) await put(nodes[0], record)
    const refs = [records[0], records[1], records[0], draft(), records[0]].map(refOf)
    for (const node of nodes) {
      const answer = await node.read(refs)
      const once = Array.from(new Map(answer.map((record) => [record.id, record])).values())
      assert.deepStrictEqual(sorted(once), sorted(records))
      assert.ok(answer.length <= refs.length, 'read must not answer more than was asked for')
    }
  },

  'a session that is asked for with another subject stays that of its own': async ({ nodes }) => {
    const record = draft()
    const neighbour = draft()
    for (const session of [record, neighbour]) await put(nodes[0], session)
    for (const node of nodes) {
      for (const subject of [neighbour.subject, uniqueName()]) {
        const answer = await node.read([{ id: record.id, subject }])
        for (const found of answer) assert.deepStrictEqual(found, record)
      }
      assert.deepStrictEqual([...await node.read([refOf(record)])], [record])
    }
  }
}

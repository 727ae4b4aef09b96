import assert from 'node:assert/strict'
import { assertEnded, assertHolds, cycle, draft, put, readOne, revoked, rotated, sorted, type Bench, type Chapter } from './bench'
import type { SessionRecord } from '../../types'

/** How many writers a race has. */
const WRITERS = 8

/** How often each handle of the last test writes. */
const TURNS = 8

/** How many attempts that may take: each one that fails means that another handle's went through. */
const ATTEMPTS = 1000

/** The conditional write under concurrency: several handles at once. */
export const concurrency: Chapter = {
  'of many creations of one session at once exactly one is acknowledged': async (bench) => {
    for (let round = 0; round < bench.rounds; round++) {
      const record = draft()
      await race(bench, Array.from({ length: WRITERS }, (_, writer) => marked(record, writer)), 0)
    }
  },

  'of many writes over one revision at once exactly one is acknowledged': async (bench) => {
    let record = draft()
    await put(bench.nodes[0], record)
    for (let round = 0; round < bench.rounds; round++) {
      const next = rotated(record)
      record = await race(bench, Array.from({ length: WRITERS }, (_, writer) => marked(next, writer)), record.revision)
    }
  },

  'of a rotation and a revocation at once exactly one is acknowledged, and the other does not happen': async (bench) => {
    for (let round = 0; round < bench.rounds; round++) {
      const record = draft()
      await put(bench.nodes[0], record)
      const rivals = [rotated(record), revoked(record)]
      await race(bench, round % 2 === 0 ? rivals : rivals.reverse(), record.revision, round)
    }
  },

  'writes to different sessions of one subject at once are all acknowledged, and none is lost from the list': async (bench) => {
    const { nodes } = bench
    const { subject } = draft()
    let records = Array.from({ length: WRITERS * 2 }, () => draft({ subject }))
    for (const step of [(record: SessionRecord) => record, rotated]) {
      records = records.map(step)
      await Promise.all(records.map((record, index) => put(cycle(nodes, index), record)))
      for (const node of nodes) assert.deepStrictEqual(sorted(await node.list(subject)), sorted(records))
    }
  },

  'handles that read and write in turns never lose a write': async (bench) => {
    const record = draft()
    await put(bench.nodes[0], record)
    await Promise.all(bench.nodes.map(async (node) => {
      for (let turns = 0, attempts = 0; turns < TURNS; attempts++) {
        assert.ok(attempts < ATTEMPTS, 'write must answer true to one of the handles that expect the stored revision')
        const current = await readOne(node, record)
        assert.ok(current !== undefined, 'read must answer the session')
        if (await node.write(rotated(current), current.revision)) turns++
      }
    }))
    const total = TURNS * bench.nodes.length
    await assertHolds(bench, { ...record, revision: 1 + total, state: { ...record.state, generation: total } })
  }
}

/** Writes all of these at once; exactly one must win, and be what is stored afterwards. */
async function race (bench: Bench, rivals: readonly SessionRecord[], expected: number, first = 0): Promise<SessionRecord> {
  const answers = await Promise.all(rivals.map(async (rival, index) => await cycle(bench.nodes, first + index).write(rival, expected)))
  const winners = rivals.filter((_, index) => answers[index])
  assert.equal(winners.length, 1, `Of ${rivals.length} writes over revision ${expected} at once exactly one must be acknowledged`)
  const [winner] = winners as [SessionRecord]
  await (winner.revoked ? assertEnded(bench, winner) : assertHolds(bench, winner))
  return winner
}

/** A record that says who wrote it. */
function marked (record: SessionRecord, writer: number): SessionRecord {
  return { ...record, state: { ...record.state, device: { userAgent: `writer ${writer}` } } }
}

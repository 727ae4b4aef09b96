import assert from 'node:assert/strict'
import { assertHolds, cycle, draft, put, readOne, revoked, rotated, type Chapter } from './bench'

/** The conditional write, one call at a time. */
export const writes: Chapter = {
  'a session is created once': async (bench) => {
    const record = draft()
    await put(bench.nodes[0], record)
    const other = { ...record, state: { ...record.state, generation: 7 } }
    for (const node of bench.nodes) assert.equal(await node.write(other, 0), false, 'write must answer false: there is a record')
    await assertHolds(bench, record)
  },

  'a write that expects an older revision is refused and changes nothing': async (bench) => {
    const first = draft()
    const second = rotated(first)
    const third = rotated(second)
    for (const record of [first, second, third]) await put(bench.nodes[0], record)
    for (const node of bench.nodes) {
      for (const expected of [0, 1, 2]) {
        assert.equal(await node.write(rotated(third), expected), false, `write must answer false: revision 3 is stored, not ${expected}`)
        assert.equal(await node.write(revoked(third), expected), false, `write must answer false: revision 3 is stored, not ${expected}`)
      }
    }
    await assertHolds(bench, third)
  },

  'a write that expects a newer revision is refused and changes nothing': async (bench) => {
    const record = draft()
    await put(bench.nodes[0], record)
    for (const node of bench.nodes) {
      for (const expected of [2, 3, 11]) {
        const next = { ...record, revision: expected + 1 }
        assert.equal(await node.write(next, expected), false, `write must answer false: revision 1 is stored, not ${expected}`)
        assert.equal(await node.write(revoked(next), expected), false, `write must answer false: revision 1 is stored, not ${expected}`)
      }
    }
    await assertHolds(bench, record)
  },

  'a write that expects a record where there is none is refused and creates none': async (bench) => {
    const record = draft()
    for (const node of bench.nodes) {
      for (const expected of [1, 2, 11]) {
        const next = { ...record, revision: expected + 1 }
        assert.equal(await node.write(next, expected), false, `write must answer false: nothing is stored, not revision ${expected}`)
      }
      assert.equal(await readOne(node, record), undefined)
    }
  },

  'a write replaces the whole record': async (bench) => {
    const record = draft()
    const { state } = record
    await put(bench.nodes[0], { ...record, state: { ...state, seen: true, revokedAt: 5, device: { userAgent: 'old', ip: '::1' } } })
    const next = { ...record, revision: 2, state: { ...state, device: { userAgent: 'new' } } }
    await put(bench.nodes[1], next)
    await assertHolds(bench, next)
  },

  'a write that was acknowledged is read by every handle': async (bench) => {
    const { nodes } = bench
    for (const writer of nodes) {
      let record = draft()
      // Each handle has looked before each write, so that one which remembers answers is seen to.
      for (const node of nodes) assert.equal(await readOne(node, record), undefined)
      await put(writer, record)
      await assertHolds(bench, record)
      for (let count = 0; count < 3; count++) {
        record = rotated(record)
        await put(cycle(nodes, nodes.indexOf(writer) + count), record)
        await assertHolds(bench, record)
      }
    }
  }
}

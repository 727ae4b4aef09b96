import assert from 'node:assert/strict'
import { assertEnded, assertHolds, draft, put, revoked, rotated, type Chapter } from './bench'

/** Revoked is final. */
export const revocation: Chapter = {
  'a revoked session is read as live by no handle': async (bench) => {
    for (const writer of bench.nodes) {
      const record = draft()
      await put(writer, record)
      await assertHolds(bench, record)
      await put(writer, revoked(record))
      await assertEnded(bench, record)
    }
  },

  'a revoked session is never made live again': async (bench) => {
    const first = draft()
    const second = rotated(first)
    const ended = revoked(second)
    for (const record of [first, second, ended]) await put(bench.nodes[0], record)
    for (const node of bench.nodes) {
      for (const expected of [1, 2, 3, 4]) {
        const again = { ...second, revision: expected + 1 }
        assert.equal(await node.write(again, expected), false, `write must answer false: the session is revoked, whatever revision is expected (${expected})`)
      }
      await assertEnded(bench, second)
    }
  },

  'a revocation ends no other session': async (bench) => {
    const record = draft()
    const others = [draft({ subject: record.subject }), draft()]
    for (const session of [record, ...others]) await put(bench.nodes[0], session)
    await put(bench.nodes[1], revoked(record))
    for (const other of others) await assertHolds(bench, other)
  }
}

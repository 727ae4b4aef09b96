import assert from 'node:assert/strict'
import { draft, put, refOf, uniqueName, type Chapter } from './bench'

/** Not there is a value. */
export const absence: Chapter = {
  'a session that is not there is left out of the answer': async ({ nodes }) => {
    for (const node of nodes) {
      assert.deepStrictEqual([...await node.read([refOf(draft())])], [])
      assert.deepStrictEqual([...await node.read([refOf(draft()), refOf(draft())])], [])
    }
  },

  'a read of no sessions answers none': async ({ nodes }) => {
    await put(nodes[0], draft())
    for (const node of nodes) assert.deepStrictEqual([...await node.read([])], [])
  },

  'a subject without sessions has an empty list': async ({ nodes }) => {
    for (const node of nodes) assert.deepStrictEqual([...await node.list(uniqueName())], [])
  }
}

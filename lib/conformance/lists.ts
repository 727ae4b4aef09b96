import assert from 'node:assert/strict'
import { cycle, draft, put, revoked, rotated, sorted, type Chapter } from './bench'
import type { SessionRecord } from '../../types'

/** What list answers. */
export const lists: Chapter = {
  'every session of a subject is listed by every handle from its acknowledgement on': async ({ nodes }) => {
    const { subject } = draft()
    const records: SessionRecord[] = []
    for (let count = 0; count < 5; count++) {
      const record = draft({ subject })
      await put(cycle(nodes, count), record)
      records.push(record)
      for (const node of nodes) assert.deepStrictEqual(sorted(await node.list(subject)), sorted(records))
    }
  },

  'a session is listed as it was written last': async ({ nodes }) => {
    let record = draft()
    const other = draft({ subject: record.subject })
    for (const session of [record, other]) await put(nodes[0], session)
    for (let count = 0; count < 4; count++) {
      record = rotated(record)
      await put(cycle(nodes, count), record)
      for (const node of nodes) assert.deepStrictEqual(sorted(await node.list(record.subject)), sorted([record, other]))
    }
  },

  'a session is not listed once it is revoked, and the others of its subject still are': async ({ nodes }) => {
    const { subject } = draft()
    const records = Array.from({ length: 4 }, () => draft({ subject }))
    for (const record of records) await put(nodes[0], record)
    for (let count = 0; records.length > 0; count++) {
      const ended = revoked(records.shift() as SessionRecord)
      await put(cycle(nodes, count), ended)
      for (const node of nodes) assert.deepStrictEqual(sorted(await node.list(subject)), sorted(records))
    }
  },

  'no session of another subject is listed': async ({ nodes }) => {
    const { subject } = draft()
    const records = [subject, `${subject}1`, `1${subject}`, subject.slice(0, -1)].map((name) => draft({ subject: name }))
    for (const record of records) await put(nodes[0], record)
    for (const node of nodes) {
      for (const record of records) assert.deepStrictEqual([...await node.list(record.subject)], [record])
    }
  }
}

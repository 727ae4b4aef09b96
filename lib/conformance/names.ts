import assert from 'node:assert/strict'
import { assertEnded, assertHolds, draft, put, readOne, refOf, revoked, sorted, uniqueName, type Bench, type Chapter } from './bench'
import type { SessionRecord, SessionRef } from '../../types'

/** Names of members that every object has. */
const INHERITED = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty']

const SPECIAL = [
  '{x}', '{', '}', '*', '?', '[a-z]', '%', '_', ':', '::', '/', '..', '\\', "'", '"', '`', "'; drop table sessions; --", '$1', '$$', '{{x}}', '\n', '\t', ' ', ',',
  '|', '#', '&', '=', '\u2028', 'é', '日本語', '😀', 'שלום', '\u200b'
]

/** Ids and subjects are strings, compared character by character. */
export const names: Chapter = {
  'ids and subjects of any characters name their own session only': async (bench) => {
    const own = uniqueName()
    await keepApart(bench, SPECIAL.flatMap((text) => [
      { id: `${text}${own}`, subject: `${own}${text}x` },
      { id: `${own}${text}x`, subject: `${text}${own}` }
    ]))
  },

  'ids and subjects that every object has as members name their own session only': async ({ nodes }) => {
    for (const name of INHERITED) {
      const record = draft({ subject: name })
      await put(nodes[0], record)
      // This name is the same in every run of the kit, and may have been written by an earlier one.
      const known = await readOne(nodes[0], { id: name, subject: name })
      const namesake = draft({ id: name, subject: name, revision: (known?.revision ?? 0) + 1 })
      await put(nodes[0], namesake)
      for (const node of nodes) {
        assert.deepStrictEqual([...await node.read([refOf(record)])], [record])
        assert.deepStrictEqual([...await node.read([refOf(namesake)])], [namesake])
        const listed = await node.list(name)
        for (const session of [record, namesake]) assert.deepStrictEqual(listed.find(({ id }) => id === session.id), session)
      }
      assert.deepStrictEqual([...await nodes[0].read([{ id: `${uniqueName()}${name}`, subject: name }])], [])
    }
  },

  'ids that differ in case, spaces or Unicode form name different sessions': async (bench) => {
    const { subject } = draft()
    await keepApart(bench, variants().map((id) => ({ id, subject })))
  },

  'subjects that differ in case, spaces or Unicode form are different subjects': async (bench) => {
    await keepApart(bench, variants().map((subject) => ({ id: uniqueName(), subject })))
  },

  'ids and subjects of 256 characters are kept whole': async (bench) => {
    const own = uniqueName()
    const ids = ['a', 'b'].map((end) => `${own.padEnd(255, 'x')}${end}`)
    const subjects = [...ids, ...['é', 'è'].map((end) => `${own.padEnd(255, '日')}${end}`)]
    await keepApart(bench, [
      ...ids.map((id) => ({ id, subject: own })),
      ...subjects.map((subject) => ({ id: uniqueName(), subject }))
    ])
  },

  'an id and a subject that run together name one session only': async (bench) => {
    await keepApart(bench, [':', '|', '/', '.', '-', ''].flatMap((joint) => {
      const parts = [uniqueName(), '1', '2', uniqueName()]
      return [1, 2, 3].map((cut) => ({ id: parts.slice(0, cut).join(joint), subject: parts.slice(cut).join(joint) }))
    }))
  }
}

/** Strings that a careless comparison takes for one another. */
function variants (): string[] {
  const own = uniqueName()
  return [`${own}a`, `${own}A`, `${own}a `, ` ${own}a`, `${own}\u00e9`, `${own}e\u0301`, `${own}e`, `${own}\uff41`, `${own}ß`, `${own}ss`, `${own}I`, `${own}ı`]
}

/** Each of these is a session: itself in every answer, and unharmed by the end of every other. */
async function keepApart (bench: Bench, refs: readonly SessionRef[]): Promise<void> {
  const { nodes } = bench
  const records = refs.map((ref, index) => draft({ ...ref, state: { ...draft().state, generation: index } }))
  for (const record of records) await put(nodes[0], record)
  await Promise.all(records.map(async (record) => {
    const siblings = records.filter(({ subject }) => subject === record.subject)
    for (const node of nodes) {
      assert.deepStrictEqual([...await node.read([refOf(record)])], [record])
      assert.deepStrictEqual(sorted(await node.list(record.subject)), sorted(siblings))
    }
  }))
  const [first, ...others] = records as [SessionRecord, ...SessionRecord[]]
  await put(nodes[1], revoked(first))
  await assertEnded(bench, first)
  await Promise.all(others.map((other) => assertHolds(bench, other)))
}

import assert from 'node:assert/strict'
import { assertHolds, draft, put, readOne, rotated, type Bench, type Chapter } from './bench'
import type { SessionRecord, SessionState } from '../../types'

/** The largest state, in bytes of JSON. */
const LARGEST = 2048

const TEXTS = [
  '', ' ', '"', "'", '\\', '\\"', '\\u0041', '/', '`', '\t\r\n', '\u0001\u001f\u007f', '\u2028\u2029', '\ufeff', 'é', 'e\u0301', '日本語', '😀👩‍👩‍👧', 'שלום',
  '{x}', '%s', '$1', '?', 'null', '__proto__', '<!--', "'; drop table sessions; --"
]

/** A record comes back as it was written. */
export const fidelity: Chapter = {
  'every text in a state comes back as it was written': async (bench) => {
    await Promise.all(TEXTS.map((text) => comesBack(bench, { device: { userAgent: text, ip: text } })))
    await comesBack(bench, { device: { userAgent: TEXTS.join('') } })
    await comesBack(bench, { device: {} })
  },

  'every number in a state comes back as it was written': async (bench) => {
    const numbers = [
      0, 1800000000.123, 1763700000.1230001, 0.1 + 0.2, 1e-7, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, -1.5
    ]
    for (const number of numbers) await comesBack(bench, { generation: number, rotatedAt: number, authTime: number, revokedAt: number })
    await comesBack(bench, { seen: true })
  },

  'a state of 2 KiB comes back as it was written': async (bench) => {
    for (const filler of ['x', 'é', '😀', '"']) {
      const { state } = draft()
      const size = (userAgent: string) => Buffer.byteLength(JSON.stringify({ ...state, device: { userAgent } }))
      const space = LARGEST - size('')
      const userAgent = filler.repeat(Math.floor(space / (size(filler) - size(''))))
      await comesBack(bench, { device: { userAgent: userAgent + 'x'.repeat(LARGEST - size(userAgent)) } })
    }
  },

  'a fraction of a second in expiresAt comes back as it was written': async (bench) => {
    for (const fraction of [0.5, 0.001, 0.123, 0.999, 0.1230001]) {
      const record = draft()
      await keeps(bench, { ...record, expiresAt: record.expiresAt + fraction })
    }
  },

  'a change of what was written or read is not stored': async (bench) => {
    const [node] = bench.nodes
    const written = draft()
    const record = structuredClone(written)
    await put(node, written)
    spoil(written)
    await assertHolds(bench, record)
    for (const reader of bench.nodes) {
      spoil(await readOne(reader, record))
      spoil((await reader.list(record.subject))[0])
      await assertHolds(bench, record)
    }
    assert.deepStrictEqual([...await node.list(record.subject)], [record])
  }
}

function comesBack (bench: Bench, change: Partial<SessionState>): Promise<void> {
  const record = draft()
  return keeps(bench, { ...record, state: { ...record.state, ...change } })
}

/** As it was created, and as it was written over. */
async function keeps (bench: Bench, record: SessionRecord): Promise<void> {
  await put(bench.nodes[0], record)
  await assertHolds(bench, record)
  const next = { ...rotated(record), state: record.state }
  await put(bench.nodes[1], next)
  for (const node of bench.nodes) assert.deepStrictEqual([...await node.list(record.subject)], [next])
}

/** Changes what can be changed: the store may have frozen it. */
function spoil (record: SessionRecord | undefined): void {
  assert.ok(record !== undefined)
  Reflect.set(record, 'revoked', true)
  Reflect.set(record, 'revision', 99)
  Reflect.set(record.state, 'generation', 99)
  Reflect.set(record.state.device, 'ip', 'spoilt')
}

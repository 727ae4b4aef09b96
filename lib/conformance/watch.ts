import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { cycle, draft, put, readOne, revoked, rotated, type Bench, type Chapter } from './bench'
import { watchOn, type Watch } from './watcher'
import type { SessionRecord } from '../../types'

/** How many sessions are revoked at once. */
const BURST = 4

/** How often a link may be lost once it was reset. */
const ATTEMPTS = 20

/** What a watch tells. */
export const watch: Chapter = {
  'a watch becomes ready and its link answers a ping': (bench) => watching(bench, async (watches) => {
    for (const watch of watches) await (await watch.link()).ping()
  }),

  'a revocation by any handle is announced to every handle': (bench) => watching(bench, async (watches) => {
    for (const writer of bench.nodes) {
      const record = draft()
      await put(writer, record)
      for (const watch of watches) watch.expect(record)
      await put(writer, revoked(record))
      for (const watch of watches) await bench.until('revoked(ids) names the session, or changed() is called', () => watch.isTold(record))
    }
  }),

  'no revocation is announced before read shows it': (bench) => watching(bench, async (watches) => {
    for (let round = 0; round < bench.rounds; round++) {
      for (const record of await burst(bench, watches, round)) {
        for (const watch of watches) await bench.until('revoked(ids) names the session, or changed() is called', () => watch.isTold(record))
      }
    }
    for (const watch of watches) assert.deepStrictEqual(await watch.early(), [], 'revoked(ids) named sessions that read still answered as live')
  }),

  'a ping resolves only after every revocation acknowledged before it was announced': (bench) => watching(bench, async (watches) => {
    for (let round = 0; round < bench.rounds; round++) {
      const records = await burst(bench, watches, round)
      await Promise.all(watches.map(async (watch) => {
        await (await watch.link()).ping()
        assert.deepStrictEqual(await watch.missing(records), [], 'ping resolved before these revocations were announced')
      }))
    }
  }),

  'no session is announced that is not revoked': (bench) => watching(bench, async (watches) => {
    const { nodes } = bench
    const record = draft()
    const last = draft({ subject: record.subject })
    for (const session of [record, last]) await put(nodes[0], session)
    await put(nodes[1], rotated(record))
    assert.equal(await nodes[0].write(revoked(record), 1), false, 'write must answer false: revision 2 is stored, not 1')
    for (const watch of watches) watch.expect(last)
    await put(nodes[0], revoked(last))
    for (const watch of watches) await bench.until('revoked(ids) names the session, or changed() is called', () => watch.isTold(last))
    for (const watch of watches) assert.ok(!watch.named().includes(record.id), 'revoked(ids) named a session that nobody revoked')
  }),

  'a closed watch hears nothing more, and the others still do': (bench) => watching(bench, async ([closed, ...others]) => {
    await (closed as Watch).link()
    await (closed as Watch).close()
    const calls = (closed as Watch).calls()
    const record = draft()
    for (const watch of others) {
      await watch.link()
      watch.expect(record)
    }
    await put(bench.nodes[0], record)
    await put(bench.nodes[0], revoked(record))
    for (const watch of others) await bench.until('revoked(ids) names the session, or changed() is called', () => watch.isTold(record))
    await sleep(50)
    assert.equal((closed as Watch).calls(), calls, 'ready, revoked and changed must not be called after close')
  }),

  'a link that was reset comes back and tells of what is revoked from then on': (bench) => watching(bench, async (watches) => {
    const [watch] = watches as [Watch]
    ;(await watch.link()).reset()
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const record = draft()
      await put(bench.nodes[1], record)
      const link = await watch.link()
      watch.expect(record)
      await put(bench.nodes[1], revoked(record))
      const isAnswered = await link.ping().then(() => true, () => false)
      // A link that went down meanwhile owes nothing: whoever watches starts anew with the next one.
      if (!isAnswered || !watch.isCurrent(link)) {
        await sleep(20)
        continue
      }
      assert.deepStrictEqual(await watch.missing([record]), [], 'ping resolved before this revocation was announced')
      return
    }
    assert.fail(`The link was lost ${ATTEMPTS} times after a reset`)
  })
}

/** Watches on every handle, and closes the watches at the end. */
async function watching (bench: Bench, prove: (watches: readonly Watch[]) => Promise<void>): Promise<void> {
  const watches = bench.nodes.map((node) => watchOn(bench, node))
  try {
    for (const watch of watches) await watch.link()
    await prove(watches)
  } finally {
    await Promise.all(watches.map((watch) => watch.close()))
  }
}

/** Revokes several sessions at once, through several handles; resolves when all is acknowledged. */
async function burst ({ nodes }: Bench, watches: readonly Watch[], round: number): Promise<SessionRecord[]> {
  const records = Array.from({ length: BURST }, () => draft())
  await Promise.all(records.map(async (record, index) => {
    const writer = cycle(nodes, round + index)
    await put(writer, record)
    assert.ok(await readOne(writer, record))
    for (const watch of watches) watch.expect(record)
    await put(writer, revoked(record))
  }))
  return records
}

import t from 'tap'
import { conformanceTests, faultyStore, type ConformanceOptions, type FaultPlan } from '../lib/conformance'
import { memoryStore } from '../lib/stores/memory'
import { brokenStores } from './support/broken-stores'
import { newStorage, sharedStore } from './support/shared-store'

// Most of the time passes in waiting.
t.jobs = 5

const slow: FaultPlan = ({ name, index }) => ['read', 'write', 'list'].includes(name) ? { beforeMs: index % 3, afterMs: index % 2 } : undefined

function several (plan?: FaultPlan): ConformanceOptions {
  const storage = newStorage()
  return { open: () => plan === undefined ? sharedStore(storage) : faultyStore(sharedStore(storage), plan), watch: true, prune: true }
}

/** Runs all tests at once; answers the names of those that fail. */
async function failures (options: ConformanceOptions): Promise<string[]> {
  const results = await Promise.all(conformanceTests(options).map(({ name, run }) => run().then(() => [], () => [name])))
  return results.flat().sort()
}

t.test('the memory store keeps every promise', async (t) => {
  const store = memoryStore()
  for (const { name, run } of conformanceTests({ open: () => store })) await t.resolves(run(), name)
})

t.test('a store of several handles keeps every promise', async (t) => {
  for (const { name, run } of conformanceTests(several())) await t.resolves(run(), name)
})

t.test('a wrapper without faults keeps every promise', async (t) => {
  t.same(await failures(several(() => undefined)), [])
})

t.test('a slow store of five handles keeps every promise', async (t) => {
  t.same(await failures({ ...several(slow), handles: 5, rounds: 2 }), [])
})

t.test('a store that only says that something changed keeps every promise', async (t) => {
  const storage = newStorage()
  const open = () => {
    const store = sharedStore(storage)
    return { ...store, watch: (on: Parameters<typeof store.watch>[0]) => store.watch({ ...on, revoked: () => on.changed() }) }
  }
  t.same(await failures({ open, watch: true }), [])
})

t.test('a store that drops what has expired at once keeps every promise', async (t) => {
  const storage = newStorage()
  const open = () => {
    const store = sharedStore(storage)
    return {
      ...store,
      async write (...[record, expected]: Parameters<typeof store.write>) {
        const isWritten = await store.write(record, expected)
        if (record.expiresAt <= Date.now() / 1000) storage.records.delete(record.id)
        return isWritten
      }
    }
  }
  // One after the other: what expires soon must not expire while others are at work.
  for (const { name, run } of conformanceTests({ open, watch: false, prune: false, rounds: 2 })) await t.resolves(run(), name)
})

t.test('storage that an earlier run has left behind does no harm', async (t) => {
  const options = several()
  for (let run = 0; run < 2; run++) t.same(await failures(options), [])
})

for (const [fault, { open, fails, also = [], timeoutMs = 10_000 }] of Object.entries(brokenStores)) {
  t.test(`a store that ${fault} is found`, async (t) => {
    const storage = newStorage()
    const failed = await failures({ open: () => open(storage), timeoutMs, rounds: 2 })
    t.ok(failed.includes(fails), fails)
    if (also !== 'whatever lists') t.same(failed, [fails, ...also].sort())
  })
}

t.test('every test of the kit finds a fault, and there is none but those', async (t) => {
  const found = new Set(Object.values(brokenStores).flatMap(({ fails, also = [] }) => [fails, ...(typeof also === 'string' ? [] : also)]))
  const names = conformanceTests(several()).map(({ name }) => name)
  t.equal(new Set(names).size, names.length, 'every name is there once')
  for (const name of names) t.ok(found.has(name), name)
  for (const name of found) t.ok(names.includes(name), name)
})

t.test('what a store offers besides is proven when it is there, demanded when it is promised, left out when it is not', async (t) => {
  const { watch, prune, ...rest } = sharedStore(newStorage())
  const open = () => rest
  const names = (options: ConformanceOptions) => conformanceTests(options).map(({ name }) => name)
  t.same(await failures({ open }), [])
  t.same(await failures({ open, watch: true, prune: true }), names({ open }).filter((name) => !names({ open, watch: false, prune: false }).includes(name)).sort())
  t.equal(names({ open }).length - names({ open, watch: false }).length, 7)
  t.equal(names({ open }).length - names({ open, prune: false }).length, 3)
})

t.test('handles are closed, whatever came of the test', async (t) => {
  const store = memoryStore()
  for (const [method, options] of Object.entries<Partial<ConformanceOptions>>({ given: {}, own: {} })) {
    let open = 0
    const close = async () => { open-- }
    const handle = method === 'own' ? { ...store, close } : store
    const tests = (broken: boolean) => conformanceTests({
      ...options,
      open: () => { open++; return broken ? { ...handle, read: () => { throw new Error('broken') } } : handle },
      ...(method === 'given' ? { close } : {})
    })
    for (const broken of [false, true]) {
      for (const { run } of tests(broken).slice(0, 5)) await run().catch(() => {})
      t.equal(open, 0, `${method}, ${broken ? 'broken' : 'sound'}`)
    }
  }
  const fails = { open: () => store, close: () => { throw new Error('cannot close') } }
  await t.rejects(conformanceTests(fails)[0]?.run() as Promise<void>, { message: 'cannot close' })
  const absent = { open: () => { throw new Error('cannot open') } }
  await t.rejects(conformanceTests(absent)[0]?.run() as Promise<void>, { message: 'cannot open' })
})

t.test('a store that never answers fails in time', async (t) => {
  const tests = conformanceTests({ open: () => ({ ...memoryStore(), read: () => new Promise<never>(() => {}) }), timeoutMs: 5000 })
  await t.rejects(tests[0]?.run() as Promise<void>, { message: 'A call of the store did not settle within 5000 ms' })
})

t.test('options that make no sense are refused', async (t) => {
  const open = () => memoryStore()
  for (const options of [{}, { open, handles: 1 }, { open, handles: 2.5 }, { open, rounds: 0 }, { open, timeoutMs: 10 }, { open, timeoutMs: Infinity }]) {
    t.throws(() => conformanceTests(options as ConformanceOptions), { code: 'ERR_ASSERTION' })
  }
})

import t from 'tap'
import { pruneRegularly } from '../../lib/stores/prune'
import { memoryStore } from '../../lib/stores/memory'
import { VirtualTime } from '../support/virtual-time'

function setUp (prune: (now: number, limit: number) => Promise<number>) {
  const time = new VirtualTime()
  const warnings: object[] = []
  const log = { warn: (details: object) => { warnings.push(details) } }
  return { time, warnings, stop: pruneRegularly({ ...memoryStore(), prune }, log as never, time) }
}

t.test('expired records go in portions, as long as portions are full', async (t) => {
  const left = [1000, 1000, 7]
  const times: number[] = []
  const { time, stop } = setUp(async (now) => { times.push(now); return left.shift() ?? 0 })
  await time.run(900)
  t.equal(left.length, 0)
  t.ok(times.length === 3 || times.length === 4, 'and then not for a while')
  stop()
  await time.run(10_000)
  t.equal(left.length, 0)
  t.ok(times.length <= 4, 'never again after the end')
})

t.test('a store that fails is warned of and tried again', async (t) => {
  let calls = 0
  const { time, warnings, stop } = setUp(async () => { calls++; throw new Error('down') })
  await time.run(2000)
  t.ok(calls >= 2)
  t.match(warnings[0], { err: { message: 'down' } })
  stop()
})

t.test('a store that forgets to count is not asked without end', async (t) => {
  let calls = 0
  const { time, stop } = setUp(async () => { calls++; return undefined as never })
  await time.run(3000)
  t.ok(calls >= 3 && calls <= 10, `${calls} calls`)
  stop()
})

t.test('stopping while a portion is under way ends it', async (t) => {
  let calls = 0
  const { time, stop } = setUp(async () => { calls++; await new Promise<void>((resolve) => time.after(5, resolve)); return 1000 })
  await time.run(901)
  stop()
  const soFar = calls
  await time.run(5000)
  t.equal(calls, soFar)
})

t.test('a store without prune is left alone', async (t) => {
  pruneRegularly(memoryStore(), null as never, null as never)()
  t.pass()
})

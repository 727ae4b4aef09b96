import { getEventListeners } from 'node:events'
import { availableParallelism } from 'node:os'
import t from 'tap'
import { boundedQueue } from '../../lib/passwords/queue'

/** Work that ends when it is told to. */
function piece (begun: string[], name: string) {
  let [end, fail] = [() => {}, () => {}]
  const promise = new Promise((resolve, reject) => {
    end = () => resolve(name)
    fail = () => reject(new Error(name))
  })
  return { work: async () => { begun.push(name); return await promise }, end, fail }
}

const turn = async () => await new Promise((resolve) => setImmediate(resolve))
const BUSY = { code: 'FST_JWT_SESSION_BUSY', statusCode: 503, headers: { 'retry-after': '1' } }

t.test('as many as there are places work at once, the others in order of arrival, and more are refused', async (t) => {
  const begun: string[] = []
  const queue = boundedQueue('x', { threads: 2, queue: 2 })
  const pieces = ['a', 'b', 'c', 'd'].map((name) => piece(begun, name))
  const answers = pieces.map(({ work }) => queue.run(work, undefined))
  await turn()
  t.same(begun, ['a', 'b'])
  await t.rejects(queue.run(async () => begun.push('e'), undefined), BUSY)
  pieces[1]?.end()
  await turn()
  const late = queue.run(async () => begun.push('late'), undefined)
  await turn()
  t.same(begun, ['a', 'b', 'c'], 'a place that is handed on is not free')
  pieces[0]?.fail()
  await t.rejects(answers[0] as Promise<unknown>, { message: 'a' })
  await turn()
  t.same(begun, ['a', 'b', 'c', 'd'], 'a failure frees its place, too')
  for (const { end } of pieces) end()
  t.same(await Promise.all(answers.slice(1)), ['b', 'c', 'd'])
  await late
  t.equal(await queue.run(async () => 'f', undefined), 'f')
})

t.test('who is gone frees the place in the queue, and only that', async (t) => {
  const begun: string[] = []
  const queue = boundedQueue('x', { threads: 1, queue: 1 })
  const [first, second, third] = ['a', 'b', 'c'].map((name) => piece(begun, name)) as [ReturnType<typeof piece>, ReturnType<typeof piece>, ReturnType<typeof piece>]
  const gone = [new AbortController(), new AbortController(), new AbortController()] as const
  const running = queue.run(first.work, gone[0].signal)
  const waiting = queue.run(second.work, gone[1].signal)
  await t.rejects(queue.run(third.work, gone[2].signal), BUSY)
  gone[1].abort(new Error('gone'))
  await t.rejects(waiting, { message: 'gone' })
  const next = queue.run(third.work, gone[2].signal)
  gone[0].abort()
  await turn()
  t.same(begun, ['a'], 'what has begun keeps its place')
  first.end()
  t.equal(await running, 'a')
  await turn()
  gone[2].abort()
  third.end()
  t.equal(await next, 'c')
  t.same(begun, ['a', 'c'])
  await t.rejects(queue.run(first.work, gone[2].signal), { name: 'AbortError' }, 'who is gone already never begins')
  t.same(begun, ['a', 'c'])
})

t.test('by default there is a place for each core, as far as that makes sense, and 50 may wait for each', async (t) => {
  t.equal(boundedQueue('x', {}, 1).threads, 1)
  t.ok(boundedQueue('x', {}).threads >= 1)
  for (const threads of [1, 2]) {
    const queue = boundedQueue('x', { threads })
    const { work, end } = piece([], 'a')
    const answers = Array.from({ length: 51 * threads }, () => queue.run(work, undefined))
    await t.rejects(queue.run(work, undefined), BUSY)
    end()
    await Promise.all(answers)
  }
})

t.test('a signal is let go of when the work begins', async (t) => {
  const queue = boundedQueue('x', { threads: 1, queue: 1 })
  const { signal } = new AbortController()
  const [first, second] = [piece([], 'a'), piece([], 'b')]
  const answers = [queue.run(first.work, undefined), queue.run(second.work, signal)]
  t.equal(getEventListeners(signal, 'abort').length, 1)
  first.end()
  await turn()
  t.equal(getEventListeners(signal, 'abort').length, 0)
  second.end()
  t.same(await Promise.all(answers), ['a', 'b'])
})

t.test('bounds are inclusive, and a refusal names the option', async (t) => {
  for (const limits of [{ threads: 1, queue: 0 }, { threads: 64, queue: 10_000 }]) t.equal(boundedQueue('x', limits).threads, limits.threads)
  t.equal(boundedQueue('x', {}).threads, Math.min(availableParallelism(), 64))
  const wrong: [object, string][] = [[{ threads: 0 }, 'threads'], [{ threads: 65 }, 'threads'], [{ queue: -1 }, 'queue'], [{ queue: 10_001 }, 'queue']]
  for (const [limits, name] of wrong) {
    t.throws(() => boundedQueue('x', limits), { code: 'FST_JWT_SESSION_OPTION_INVALID', message: `fastify-jwt-session: x({ ${name} }) has` }, name)
  }
})

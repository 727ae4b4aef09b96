import { join } from 'node:path'
import t from 'tap'
import { workerThreads } from '../../lib/passwords/threads'

t.test('a worker that is JavaScript preloads nothing of the process', async (t) => {
  const directory = t.testdir({ 'worker.js': 'module.exports = { count: ({ start }) => start + process.execArgv.length }' })
  const threads = workerThreads(join(directory, 'worker.js'), 1)
  t.equal(await threads.run<number>('count', { start: 10 } as never), 10)
  await threads.close()
})

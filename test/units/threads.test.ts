import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { workerThreads, type Threads } from '../../lib/passwords/threads'

function threadsOf (t: Test, count: number, worker: string): Threads & { readonly directory: string } {
  const directory = mkdtempSync(join(tmpdir(), 'fastify-jwt-session-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  writeFileSync(join(directory, 'worker.js'), worker)
  const threads = workerThreads(join(directory, 'worker.js'), count)
  t.teardown(() => threads.close())
  return { ...threads, directory }
}

t.test('a worker that is JavaScript preloads nothing of the process', async (t) => {
  const threads = threadsOf(t, 1, 'module.exports = { count: ({ start }) => start + process.execArgv.length }')
  t.equal(await threads.run<number>('count', { start: 10 }), 10)
})

t.test('work whose thread died as it started is done by the next one', async (t) => {
  const threads = threadsOf(t, 1, `
    const { existsSync, writeFileSync } = require('node:fs')
    const tried = __dirname + '/tried'
    if (!existsSync(tried)) {
      writeFileSync(tried, '')
      process.exit(1)
    }
    module.exports = { double: ({ number }) => 2 * number }
  `)
  t.equal(await threads.run<number>('double', { number: 4 }), 8)
  t.equal(await threads.run<number>('double', { number: 5 }), 10)
})

t.test('a thread that dies takes no work of the others with it', async (t) => {
  // Each piece of work leaves a line as it begins, so that what is done twice shows, and waits for a word.
  const threads = threadsOf(t, 2, `
    const { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
    module.exports = {
      async wait ({ name }) {
        appendFileSync(__dirname + '/log', name)
        while (!existsSync(__dirname + '/' + name)) await new Promise((resolve) => setTimeout(resolve, 5))
        if (readFileSync(__dirname + '/' + name, 'utf8') === 'end') return name
        writeFileSync(__dirname + '/' + name, 'end')
        process.exit(1)
      }
    }
  `)
  const log = (): string => readFileSync(join(threads.directory, 'log'), 'utf8')
  const tell = (name: string, word: string): void => { writeFileSync(join(threads.directory, name), word) }
  writeFileSync(join(threads.directory, 'log'), '')
  const names = ['a', 'b', 'c', 'd', 'e']
  const answers = names.map((name) => threads.run<string>('wait', { name }))
  while (log().length < 2) await pause(5)
  tell('a', 'die')
  while (log().length < 3) await pause(5)
  for (const name of names.slice(1)) tell(name, 'end')
  t.same(await Promise.all(answers), names)
  t.equal([...log()].sort().join(''), 'aabcde')
})

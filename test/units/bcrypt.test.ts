import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import bcrypt from 'bcryptjs'
import t from 'tap'
import { bcryptPasswords } from '../../lib/passwords/bcrypt'
import { hash as hashInThread, unmatched, verify as verifyInThread } from '../../lib/passwords/bcrypt-worker'
import { childEnv } from '../support/child-env'

/** Every thread that was started, in order. */
const threads: Worker[] = []
process.on('worker', (thread: Worker) => threads.push(thread))

const isAlive = ({ threadId }: Worker) => threadId > 0

const passwords = bcryptPasswords({ cost: 8, threads: 1 })

t.test('a password fits its own hash, exactly', async (t) => {
  const password = 'Påsswörd 😀'
  const hash = await passwords.hash(password)
  t.match(hash, /^\$2b\$08\$/)
  t.equal(await passwords.verify(password, hash), true)
  for (const wrong of [`${password} `, ` ${password}`, password.toLowerCase(), password.slice(0, -1), `${password}\0`, '']) {
    t.equal(await passwords.verify(wrong, hash), false, JSON.stringify(wrong))
  }
})

t.test('a password is never cut at 72 bytes', async (t) => {
  const longest = 'é'.repeat(36)
  t.equal(await passwords.verify(longest, await passwords.hash(longest)), true)
  for (const password of [`${longest}x`, 'x'.repeat(73), 'a\0b']) await t.rejects(async () => await passwords.hash(password), RangeError)

  const cut = await bcrypt.hash('x'.repeat(80), 8)
  t.equal(await bcrypt.compare('x'.repeat(72), cut), true, 'bcrypt itself does')
  t.equal(await passwords.verify('x'.repeat(80), cut), false, 'what bcrypt would not read to its end fits nothing')
})

t.test('the hashes of other bcrypts and other costs are read', async (t) => {
  const hash = await bcrypt.hash('secret', 9)
  for (const prefix of ['$2a', '$2b', '$2y']) t.equal(await passwords.verify('secret', prefix + hash.slice(3)), true)
  t.equal(await passwords.verify('secret', await bcrypt.hash('secret', 4)), true)
})

const MALFORMED = [
  '', 'secret', '$2b$08$short', `${unmatched(8)}x`, `x${unmatched(8)}`, unmatched(8).replace('08', '1x'), unmatched(8).slice(0, -1), unmatched(8).replace('$2b', '$9z'), '!'.repeat(60),
  '$argon2id$v=19$m=1,t=1,p=1$x$y', unmatched(3), unmatched(20), unmatched(31)
]

t.test('a malformed hash, one of a lower cost and a password that is too long cost the work of a sound hash', async (t) => {
  const sound = await passwords.hash('secret')
  for (const hash of MALFORMED) t.equal(await passwords.verify('secret', hash), false, hash)

  // The time of all threads. A shortcut would take a fraction: half leaves room for a noisy machine.
  const busy = async (hash: string, password = 'secret') => {
    const start = process.cpuUsage()
    for (let round = 0; round < 3; round++) await passwords.verify(password, hash)
    return process.cpuUsage(start).user
  }
  await busy(sound)
  const whole = await busy(sound)
  t.ok(await busy('malformed') > whole / 2, 'malformed')
  t.ok(await busy(await bcrypt.hash('secret', 4)) > whole / 2, 'of a lower cost')
  t.ok(await busy(sound, 'x'.repeat(73)) > whole / 2, 'too long')
})

t.test('a hash is to be made anew when it costs less, or is none', async (t) => {
  t.equal(passwords.needsRehash(await passwords.hash('secret')), false)
  for (const cost of [8, 9, 10, 19]) t.equal(passwords.needsRehash(unmatched(cost)), false)
  for (const hash of [unmatched(4), unmatched(7), ...MALFORMED]) t.equal(passwords.needsRehash(hash), true, hash)
})

t.test('what threads do, done here', async (t) => {
  const passwordHash = hashInThread({ password: 'secret', cost: 4 })
  t.equal(verifyInThread({ password: 'secret', cost: 6, passwordHash }), true)
  t.equal(verifyInThread({ password: 'other', cost: 6, passwordHash }), false)
})

t.test('every hash costs the same work, to the last round', (t) => {
  let spent = 0
  function compareSync (_password: string, hash: string): boolean {
    spent += 2 ** bcrypt.getRounds(hash)
    return true
  }
  const { verify } = t.mockRequire('../../lib/passwords/bcrypt-worker', { bcryptjs: { ...bcrypt, compareSync } }) as { verify: typeof verifyInThread }
  for (const cost of [4, 7, 11, 12]) {
    spent = 0
    t.equal(verify({ password: 'secret', cost: 12, passwordHash: unmatched(cost) }), true)
    t.equal(spent, 2 ** 12, `a hash of cost ${cost}`)
  }
  t.end()
})

t.test('the main thread goes on while passwords are hashed', async (t) => {
  let turns = 0
  let isOver = false
  const turn = () => {
    turns++
    if (!isOver) setImmediate(turn)
  }
  turn()
  await passwords.verify('secret', unmatched(10))
  isOver = true
  t.ok(turns > 100, `${turns} turns of the event loop`)
})

t.test('a thread that dies takes no login with it', async (t) => {
  const before = threads.length
  const hash = await passwords.hash('secret')
  const answers = [1, 2, 3].map(async () => await passwords.verify('secret', hash))
  await threads.find(isAlive)?.terminate()
  t.same(await Promise.all(answers), [true, true, true])
  t.ok(threads.length > before, 'there is another thread')
})

t.test('where no thread lives, the answer is BUSY and says why, and it is none that lasts', async (t) => {
  const doomed = bcryptPasswords({ cost: 8, threads: 1, queue: 10 })
  const kill = (thread: Worker) => { thread.terminate() }
  process.on('worker', kill)
  const answers = await Promise.allSettled(Array.from({ length: 3 }, async () => await doomed.hash('secret')))
  for (const answer of answers) t.match(answer, { status: 'rejected', reason: { code: 'FST_JWT_SESSION_BUSY', statusCode: 503 } })
  process.off('worker', kill)

  const spoil = (thread: Worker) => setImmediate(() => thread.emit('error', new Error('no memory')))
  process.on('worker', spoil)
  await t.rejects(async () => await doomed.hash('secret'), { code: 'FST_JWT_SESSION_BUSY', cause: { message: 'no memory' } })
  process.off('worker', spoil)
  t.match(await doomed.hash('secret'), /^\$2b\$/)
  await doomed.close()
})

t.test('closing waits for what is running; whoever comes afterwards is served', async (t) => {
  const hash = unmatched(8)
  await passwords.verify('secret', hash)
  const [thread] = threads.filter(isAlive)
  const ended = new Promise((resolve) => thread?.once('exit', resolve))
  let answered = 0
  const answers = [1, 2, 3].map(async () => {
    await passwords.verify('secret', hash)
    answered++
  })
  await passwords.close()
  t.ok(answered >= 1)
  await ended
  await Promise.all(answers)
  t.equal(answered, 3)
  await passwords.close()
  await passwords.close()
})

t.test('a program that hashes and nothing else ends by itself', async (t) => {
  const source = "require('fastify-jwt-session').bcryptPasswords({ cost: 8 }).hash('secret').then(console.log)"
  const { status, stdout } = spawnSync(process.execPath, ['-e', source], {
    cwd: join(__dirname, '..', '..'), env: childEnv(), encoding: 'utf8', timeout: 20_000
  })
  t.equal(status, 0)
  t.match(stdout, /^\$2b\$08\$/)
})

t.test('options out of bounds are refused', async (t) => {
  const invalid = { code: 'FST_JWT_SESSION_OPTION_INVALID' }
  for (const cost of [7, 16, 10.5, NaN, '10' as never]) t.throws(() => bcryptPasswords({ cost }), invalid)
  for (const threads of [0, 65, 1.5, '1' as never]) t.throws(() => bcryptPasswords({ threads }), invalid)
  for (const queue of [-1, 10_001, 1.5, NaN]) t.throws(() => bcryptPasswords({ queue }), invalid)
  t.throws(() => bcryptPasswords({ cost: 7 }), { message: 'fastify-jwt-session: bcryptPasswords({ cost }) has' })
  t.throws(() => bcryptPasswords({ threads: 0 }), { message: 'fastify-jwt-session: bcryptPasswords({ threads }) has' })
  t.doesNotThrow(() => bcryptPasswords())
  t.doesNotThrow(() => bcryptPasswords({ cost: 15 }))
})

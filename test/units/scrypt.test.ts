import crypto, { scryptSync } from 'node:crypto'
import t from 'tap'
import { scryptPasswords } from '../../lib/passwords/scrypt'

const passwords = scryptPasswords({ cost: 14, parallelization: 2, threads: 1 })

t.test('a password fits its own hash, exactly', async (t) => {
  const password = 'Påsswörd 😀'
  const hash = await passwords.hash(password)
  t.match(hash, /^\$scrypt\$ln=14,r=8,p=2\$[\w+/]{22}\$[\w+/]{43}$/)
  t.not(await passwords.hash(password), hash, 'each hash has a salt of its own')
  t.equal(await passwords.verify(password, hash), true)
  for (const wrong of [`${password} `, password.toLowerCase(), password.normalize('NFD'), `${password}\0`, '']) {
    t.equal(await passwords.verify(wrong, hash), false, JSON.stringify(wrong))
  }
})

t.test('the key is that of RFC 7914', async (t) => {
  const key = scryptSync('secret', Buffer.from('0123456789abcdef'), 32, { N: 16, r: 8, p: 1 })
  const hash = `$scrypt$ln=4,r=8,p=1$${btoa('0123456789abcdef').slice(0, 22)}$${key.toString('base64').slice(0, 43)}`
  t.equal(await passwords.verify('secret', hash), true)
  t.equal(await passwords.verify('Secret', hash), false)
  t.equal(passwords.needsRehash(hash), true)
})

t.test('what POST /login would not take, and what has the bytes of another password, is refused', async (t) => {
  t.equal(await passwords.verify('x'.repeat(1024), await passwords.hash('x'.repeat(1024))), true)
  for (const password of ['x'.repeat(1025), 'a\0b', 'pass\ud800word']) await t.rejects(async () => await passwords.hash(password), RangeError)
  t.equal(await passwords.verify('pass\ud800word', await passwords.hash('pass\ufffdword')), false)
})

t.test('a malformed hash, one of less work and a password that is refused cost the work of a sound hash', async (t) => {
  const sound = await passwords.hash('secret')
  const malformed = ['', 'secret', `${sound}x`, `x${sound}`, sound.replace('ln=14', 'ln=0'), sound.replace('p=2', 'p=0'), sound.replace('ln=14', 'ln=1x'), sound.replace('p=2', 'p=1x'), sound.slice(0, -1), sound.replace('ln=14', 'ln=19'), sound.replace('p=2', 'p=17'), sound.replace('r=8', 'r=9'), `$2b$08$${'.'.repeat(53)}`]
  for (const hash of malformed) {
    t.equal(await passwords.verify('secret', hash), false, hash)
    t.equal(passwords.needsRehash(hash), true, hash)
  }
  const busy = async (hash: string, password = 'secret') => {
    const start = process.cpuUsage()
    for (let round = 0; round < 2; round++) await passwords.verify(password, hash)
    return process.cpuUsage(start).user
  }
  await busy(sound)
  const whole = await busy(sound)
  t.ok(await busy('malformed') > whole / 2, 'malformed')
  t.ok(await busy(sound.replace('ln=14', 'ln=4')) > whole / 2, 'of a lower cost')
  t.ok(await busy(sound.replace('p=2', 'p=1')) > whole * 0.7, 'of less parallelization')
  t.ok(await busy(sound, 'a\0b') > whole / 2, 'refused')
})

t.test('every hash costs the same work, to the last block', async (t) => {
  let spent = 0
  function scrypt (_password: string, _salt: Buffer, length: number, { N, p }: Record<'N' | 'p', number>, done: (error: null, key: Buffer) => void): void {
    spent += N * p
    done(null, Buffer.alloc(length, 1))
  }
  const counted = (t.mockRequire('../../lib/passwords/scrypt', { 'node:crypto': { ...crypto, scrypt } }) as { scryptPasswords: typeof scryptPasswords })
    .scryptPasswords({ cost: 15, parallelization: 3 })
  const sound = await counted.hash('secret')
  for (const parameters of ['ln=15,r=8,p=3', 'ln=15,r=8,p=1', 'ln=15,r=8,p=2', 'ln=14,r=8,p=3', 'ln=4,r=8,p=1', 'malformed']) {
    spent = 0
    t.equal(await counted.verify('secret', sound.replace('ln=15,r=8,p=3', parameters)), parameters !== 'malformed')
    t.equal(spent, 3 * 2 ** 15, parameters)
  }
})

t.test('a hash of less work is to be made anew', async (t) => {
  const sound = await passwords.hash('secret')
  t.equal(passwords.needsRehash(sound), false)
  t.equal(passwords.needsRehash(sound.replace('ln=14', 'ln=13')), true)
  t.equal(passwords.needsRehash(sound.replace('p=2', 'p=1')), true)
  t.equal(passwords.needsRehash(sound.replace('p=2', 'p=3')), false)
  t.equal(passwords.needsRehash(sound.replace('ln=14,r=8,p=2', 'ln=15,r=8,p=1')), false)
  t.equal(passwords.needsRehash(sound.replace('ln=14,r=8,p=2', 'ln=10,r=8,p=16')), true)
  for (const more of ['ln=18,r=8,p=1', 'ln=14,r=8,p=10', 'ln=14,r=8,p=16']) t.equal(passwords.needsRehash(sound.replace('ln=14,r=8,p=2', more)), false, more)
})

t.test('by default a hash takes 32 MiB, which is more than Node allows by itself', async (t) => {
  const byDefault = scryptPasswords()
  const hash = await byDefault.hash('secret')
  t.match(hash, '$scrypt$ln=15,r=8,p=3$')
  t.equal(await byDefault.verify('secret', hash), true)
})

t.test('older hashes are verified by another scheme, and every password takes the work of both', async (t) => {
  const asked: unknown[] = []
  const { signal } = new AbortController()
  let isClosed = false
  const both = scryptPasswords({
    cost: 14,
    parallelization: 1,
    also: {
      hash: () => '',
      verify (...args) { asked.push(args); return args[1] === `old:${args[0]}` },
      close () { isClosed = true }
    }
  })
  const own = await both.hash('secret', { signal })
  t.match(own, '$scrypt$ln=14,r=8,p=1$')
  t.equal(await both.verify('secret', own, { signal }), true)
  t.equal(await both.verify('secret', 'old:secret', { signal }), true)
  t.equal(await both.verify('secret', 'old:other', { signal }), false)
  t.same(asked, [['secret', own, { signal }], ['secret', 'old:secret', { signal }], ['secret', 'old:other', { signal }]])
  t.equal(both.needsRehash('old:secret'), true)
  await both.close()
  t.equal(isClosed, true)
  await t.resolves(async () => await scryptPasswords({ also: { hash: () => '', verify: () => false } }).close(), 'not every scheme has something to close')
  await passwords.close()
})

t.test('who is gone frees the place in the queue, and a full queue is BUSY', async (t) => {
  const narrow = scryptPasswords({ cost: 14, parallelization: 1, threads: 1, queue: 1 })
  const gone = new AbortController()
  const running = narrow.hash('a')
  const waiting = narrow.hash('b', { signal: gone.signal })
  await t.rejects(async () => await narrow.verify('c', ''), { code: 'FST_JWT_SESSION_BUSY' })
  gone.abort()
  await t.rejects(Promise.resolve(waiting), { name: 'AbortError' })
  t.equal(await narrow.verify('c', ''), false)
  await running
})

t.test('options out of bounds are refused', async (t) => {
  const invalid = { code: 'FST_JWT_SESSION_OPTION_INVALID' }
  for (const cost of [13, 19, 14.5, NaN, '14' as never]) t.throws(() => scryptPasswords({ cost }), invalid)
  for (const parallelization of [0, 17, 1.5]) t.throws(() => scryptPasswords({ parallelization }), invalid)
  for (const threads of [0, 65, 1.5]) t.throws(() => scryptPasswords({ threads }), invalid)
  t.throws(() => scryptPasswords({ cost: 13 }), { message: 'fastify-jwt-session: scryptPasswords({ cost }) has' })
  t.throws(() => scryptPasswords({ parallelization: 0 }), { message: 'fastify-jwt-session: scryptPasswords({ parallelization }) has' })
  t.throws(() => scryptPasswords({ threads: 0 }), { message: 'fastify-jwt-session: scryptPasswords({ threads }) has' })
  t.doesNotThrow(() => scryptPasswords())
  t.doesNotThrow(() => scryptPasswords({ cost: 18, parallelization: 16 }))
})

import bcrypt from 'bcryptjs'
import t from 'tap'
import { bcryptPasswords } from '../../lib/passwords'

const passwords = bcryptPasswords({ cost: 8 })

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
})

t.test('a malformed hash fits nothing, and costs the work of a sound one', async (t) => {
  const sound = await passwords.hash('secret')
  for (const hash of ['', 'secret', '$2b$08$short', sound.slice(0, -1), `${sound}x`, sound.replace('$2b', '$9z'), '!'.repeat(60), '$argon2id$v=19$m=1,t=1,p=1$x$y']) {
    t.equal(await passwords.verify('secret', hash), false, hash)
  }
  // A shortcut would take none of the time: a tenth leaves room for a noisy machine.
  const busy = async (hash: string) => {
    const start = process.cpuUsage()
    for (let round = 0; round < 5; round++) await passwords.verify('secret', hash)
    return process.cpuUsage(start).user
  }
  await busy(sound)
  t.ok(await busy('malformed') > await busy(sound) / 10)
})

t.test('a cost out of bounds is refused', async (t) => {
  for (const cost of [7, 16, 10.5, NaN, '10' as never]) t.throws(() => bcryptPasswords({ cost }), { code: 'FST_JWT_SESSION_OPTION_INVALID' })
  t.doesNotThrow(() => bcryptPasswords())
})

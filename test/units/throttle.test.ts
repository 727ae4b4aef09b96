import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import t from 'tap'
import { networkOf } from '../../lib/address'
import { LIMITER, type CountingStore, type LimiterOptions } from '../../lib/limiter'
import { memoryStore } from '../../lib/stores/memory'
import { postgresLimiter } from '../../lib/stores/postgres-limiter'
import { createThrottle, readThrottle, type Attempt, type Refusal, type Throttle } from '../../lib/throttle'
import { stopClock } from '../support/clock'
import { engines, newNamespace, skipReason } from '../support/engines'
import type { RevocationStore, ThrottleOptions } from '../../types'

const SMALL = { account: { attempts: 3, window: '1m' }, address: { attempts: 5, window: '10m' } }

function throttleOf (options: ThrottleOptions | false = SMALL, store: RevocationStore & CountingStore = memoryStore(), told: unknown[] = []): Throttle {
  return createThrottle(readThrottle(options), { store, timeout: 0.05, tell: (cause) => { told.push(cause) } })
}

/** Takes attempts at once: how many of them may go on. */
async function granted (throttle: Throttle, count: number, username: string, address = '192.0.2.1'): Promise<number> {
  const attempts = await Promise.all(Array.from({ length: count }, async () => await throttle.take(username, address)))
  return attempts.filter((attempt) => !('refused' in attempt)).length
}

async function refusal (throttle: Throttle, username: string, address = '192.0.2.1'): Promise<Refusal> {
  const attempt = await throttle.take(username, address)
  if ('refused' in attempt) return attempt
  throw new Error('It was granted')
}

t.test('each account has a budget, which parallel attempts share, and which is new after the window', async (t) => {
  const clock = stopClock(t)
  const throttle = throttleOf()
  t.equal(await granted(throttle, 1000, 'alice'), 3)
  t.same(await refusal(throttle, 'alice'), { refused: 'account', retryAfter: 60 })
  clock.advance(59.5)
  t.same(await refusal(throttle, 'alice'), { refused: 'account', retryAfter: 1 }, 'attempts that are refused do not prolong it')
  clock.advance(0.5)
  t.equal(await granted(throttle, 1000, 'alice', '192.0.2.2'), 3)
})

t.test('names are counted as they are, and one does not lock out another', async (t) => {
  const throttle = throttleOf({ account: { attempts: 1 }, address: false })
  for (const name of ['alice', 'Alice', 'alice ', '__proto__', 'constructor', '', 'x'.repeat(256)]) t.equal(await granted(throttle, 100, name), 1, name)
})

t.test('each address has a budget, whatever the names; what the account refuses does not use it up', async (t) => {
  const throttle = throttleOf()
  t.equal(await granted(throttle, 500, 'alice'), 3)
  t.equal(await granted(throttle, 500, 'bob'), 2)
  t.same(await refusal(throttle, 'carol'), { refused: 'address', retryAfter: 600 })
  t.equal(await granted(throttle, 1, 'bob', '192.0.2.2'), 1, 'others may still try this name')
})

t.test('an address that is refused cannot use up the budget of an account', async (t) => {
  const throttle = throttleOf()
  for (const name of ['a', 'b', 'c', 'd', 'e']) await throttle.take(name, '192.0.2.1')
  t.equal(await granted(throttle, 1000, 'alice'), 0)
  t.equal(await granted(throttle, 10, 'alice', '192.0.2.2'), 3)
})

t.test('a login that succeeds clears its account, and of the address only itself', async (t) => {
  const throttle = throttleOf()
  t.equal(await granted(throttle, 2, 'alice'), 2)
  for (let round = 0; round < 10; round++) await (await throttle.take('mallory', '192.0.2.1') as Attempt).succeeded()
  t.equal(await granted(throttle, 1, 'alice'), 1, 'the account of another one is as it was')
  t.equal((await refusal(throttle, 'alice')).refused, 'account')
  await (await throttle.take('mallory', '192.0.2.1') as Attempt).succeeded()
  t.equal(await granted(throttle, 10, 'bob'), 2, 'the address is as it was')
})

t.test('an attempt that was not judged does not count; for the address only if it may be repeated', async (t) => {
  const throttle = throttleOf()
  for (let round = 0; round < 10; round++) await (await throttle.take('alice', '192.0.2.1') as Attempt).spared(true)
  for (let round = 0; round < 4; round++) await (await throttle.take('alice', '192.0.2.1') as Attempt).spared(false)
  t.equal(await granted(throttle, 10, 'alice'), 1)
  t.equal(await granted(throttle, 10, 'alice', '192.0.2.2'), 2)
})

t.test('what ends after its window grants nothing for the next one', async (t) => {
  const clock = stopClock(t)
  const throttle = throttleOf({ account: { attempts: 3, window: '1m' }, address: { attempts: 3, window: '1m' } })
  const attempts = await Promise.all([1, 2, 3].map(async (n) => await throttle.take(`name ${n}`, '192.0.2.1') as Attempt))
  clock.advance(61)
  for (const attempt of attempts) await attempt.spared(true)
  t.equal(await granted(throttle, 10, 'alice'), 3)
})

t.test('nothing is kept of names that were not judged', async (t) => {
  const kept = new Map<string, RateLimiterMemory>()
  const store = {
    ...memoryStore(),
    [LIMITER]: (options: LimiterOptions) => {
      const limiter = new RateLimiterMemory(options)
      kept.set(options.keyPrefix, limiter)
      return limiter
    }
  }
  const throttle = throttleOf(SMALL, store)
  for (let round = 0; round < 100; round++) await (await throttle.take(`name ${round}`, '192.0.2.1') as Attempt).spared(true)
  t.same([...kept.keys()], ['account', 'address'])
  for (const limiter of kept.values()) t.same(limiter.dump().storage, [])
  await throttle.take('correct horse battery staple', '192.0.2.1')
  for (const limiter of kept.values()) {
    t.equal(limiter.dump().storage.length, 1)
    t.match(limiter.dump().storage[0]?.key, /^[\w-]{22}$/, 'and of the others neither name nor address')
  }
})

t.test('one budget or both can be switched off', async (t) => {
  t.equal(await granted(throttleOf(false), 1000, 'alice'), 1000)
  t.equal(await granted(throttleOf({ account: false, address: { attempts: 7 } }), 1000, 'alice'), 7)
  t.equal(await granted(throttleOf({ address: false }), 1000, 'alice'), 20)
})

/** Counters that reject, or never answer. */
function brokenStore (answer: () => Promise<never>): RevocationStore & CountingStore {
  const limiter = { consume: answer, reward: answer, delete: answer }
  return { ...memoryStore(), [LIMITER]: () => limiter as never }
}

t.test('while the counters of the store fail, this process counts alone, and says so once', async (t) => {
  let isDown = true
  const told: unknown[] = []
  const inner = new RateLimiterMemory({ points: 3, duration: 60 })
  const answer = (name: 'consume' | 'reward' | 'delete') => async (key: string) => {
    if (isDown) throw new Error('no route')
    return await inner[name](key) as never
  }
  const store = { ...memoryStore(), [LIMITER]: () => ({ consume: answer('consume'), reward: answer('reward'), delete: answer('delete') }) as never }
  const throttle = throttleOf({ ...SMALL, address: false }, store, told)
  t.equal(await granted(throttle, 100, 'alice'), 3)
  t.equal((await refusal(throttle, 'alice')).refused, 'account')
  t.match(told, [{ message: 'no route' }])
  isDown = false
  t.equal(await granted(throttle, 100, 'alice'), 3)
  isDown = true
  t.equal((await refusal(throttle, 'alice')).refused, 'account')
  t.equal(told.length, 2)
})

t.test('counters that never answer are waited for no longer than the store', async (t) => {
  const told: unknown[] = []
  const throttle = throttleOf(SMALL, brokenStore(async () => await new Promise(() => {})), told)
  t.equal(await granted(throttle, 10, 'alice'), 3)
  t.ok(told.length >= 1)
})

t.test('a refusal without a time to wait for is one of a second', async (t) => {
  const refuse = async (): Promise<never> => { throw new RateLimiterRes(0, -1, 4) }
  const limiter = { consume: refuse, reward: async () => new RateLimiterRes(0, 1, 3) }
  t.same(await refusal(throttleOf(SMALL, { ...memoryStore(), [LIMITER]: () => limiter as never }), 'alice'), { refused: 'account', retryAfter: 1 })
})

t.test('the nodes of an application count together where their sessions live', async (t) => {
  for (const engine of engines.filter(({ name }) => /redis|postgres/.test(name))) {
    await t.test(engine.name, { skip: await skipReason(engine) }, async (t) => {
      const namespace = newNamespace()
      const nodes = await Promise.all([engine.open(namespace), engine.open(namespace)])
      t.teardown(async () => { for (const { close } of nodes) await close(true) })
      const told: unknown[] = []
      const open = ({ store }: { store: RevocationStore }) =>
        createThrottle(readThrottle({ account: { attempts: 10, window: '1m' }, address: { attempts: 15, window: '1s' } }), { store, timeout: 5, tell: (cause) => { told.push(cause) } })
      const [one, other] = nodes.map(open) as [Throttle, Throttle]

      const counts = await Promise.all([granted(one, 50, 'alice'), granted(other, 50, 'alice', '192.0.2.2')])
      t.equal(counts[0] + counts[1], 10)
      const { refused, retryAfter } = await refusal(other, 'alice', '192.0.2.3')
      t.equal(refused, 'account')
      t.ok(retryAfter >= 50 && retryAfter <= 60, `${retryAfter} seconds`)

      const attempts = await Promise.all(Array.from({ length: 15 }, async (_, index) => await one.take(`name ${index}`, '2001:db8::1')))
      t.equal((await refusal(other, 'bob', '2001:db8::2')).refused, 'address')
      for (const attempt of attempts) await (attempt as Attempt).spared(true)
      const [mallory] = await Promise.all([other.take('mallory', '192.0.2.9'), granted(other, 4, 'mallory', '192.0.2.8')])
      await (mallory as Attempt).succeeded()
      t.equal(await granted(one, 50, 'mallory', '192.0.2.7'), 10)
      await new Promise((resolve) => setTimeout(resolve, 1100))
      t.equal(await granted(one, 1, 'bob', '2001:db8::3'), 1, 'a window that is over is forgotten')
      await nodes[0]?.store.prune?.(Date.now() / 1000, 100)
      t.equal((await refusal(other, 'alice', '192.0.2.3')).refused, 'account', 'one that is not, is not')
      t.same(told, [])
    })
  }
})

t.test('the option', async (t) => {
  const seconds = { account: { attempts: 20, window: 900 }, address: { attempts: 200, window: 900 } }
  t.same(readThrottle(), seconds)
  t.same(readThrottle({}), seconds)
  t.same(readThrottle(false), { account: undefined, address: undefined })
  t.same(readThrottle({ account: { attempts: 5 }, address: { window: '1h' } }), { account: { attempts: 5, window: 900 }, address: { attempts: 200, window: 3600 } })
  for (const attempts of [0, -1, 1.5, 100_001, NaN, Infinity, '20', null]) {
    t.throws(() => readThrottle({ account: { attempts: attempts as never } }), { message: /throttle\.account\.attempts/, code: 'FST_JWT_SESSION_OPTION_INVALID' })
  }
  for (const window of [0, '0s', '500ms', '2d', -1, NaN, 'soon']) t.throws(() => readThrottle({ address: { window } }), { message: /throttle\.address\.window/ }, String(window))
  for (const wrong of [true, null, 'x', [], { acount: {} }, { account: true }, { account: { max: 4 } }, { address: null }]) {
    t.throws(() => readThrottle(wrong as never), { code: 'FST_JWT_SESSION_OPTION_INVALID', message: /throttle/ })
  }
})

t.test('who may change an address at will is one: 64 bits of IPv6, and IPv4 in whatever way it is written', async (t) => {
  const same: string[][] = [
    ['192.0.2.1', '::ffff:192.0.2.1', '::FFFF:192.0.2.1', '0:0:0:0:0:ffff:c000:201', '64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff', '2001:0DB8:0001:0002::', '2001:db8:1:2:0:0:192.0.2.1'],
    ['2001:db8:1:3::1', '2001:db8:1:3:4:5:6:7'],
    ['192.0.2.2', '::ffff:c000:202'],
    ['::1', '::', '0:0:0:0:1:2:3:4'],
    ['fe80::1', 'fe80::2%eth0', 'fe80::3%1'],
    ['1::', '1:0:0:0:5::', '1:0:0:0::8'],
    ['10.0.0.1']
  ]
  for (const addresses of same) t.equal(new Set(addresses.map(networkOf)).size, 1, addresses.map(networkOf).join(' '))
  t.equal(new Set(same.map(([first]) => networkOf(first as string))).size, same.length)
  for (const odd of ['', 'unknown', '1.2.3', ':::', '2001:db8::g', 'undefined']) t.equal(networkOf(odd), odd)
})

t.test('a limiter of PostgreSQL names a schema only when there is one', async (t) => {
  const asked: string[] = []
  const ask = async (text: string): Promise<never> => {
    asked.push(text)
    throw new Error('enough')
  }
  for (const schema of [undefined, 'sessions']) {
    await t.rejects(postgresLimiter(ask, 'attempts', schema)({ points: 1, duration: 1 } as never).consume('x'), { message: 'enough' })
  }
  t.equal(asked[0]?.includes('sessions'), false)
  t.equal(asked[1]?.includes('sessions'), true)
})

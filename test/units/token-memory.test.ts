import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { tokenMemory, type TokenMemory } from '../../lib/token-memory'
import type { TokenKind, Verified } from '../../lib/tokens'

type Claims = { readonly exp: number, readonly name: string }

/** A kind of token that says `name.exp.padding`, and counts how often it is asked. */
function countingKind (): TokenKind<Claims> & { asked: string[] } {
  const asked: string[] = []
  return {
    asked,
    sign: ({ name }) => `signed ${name}`,
    verify (token): Verified<Claims> | undefined {
      asked.push(token)
      const [name, exp] = token.split('.')
      return exp === 'forged' ? undefined : { header: {}, claims: { name: name as string, exp: Number(exp) }, session: { id: 's', subject: 'anybody' }, auth: undefined }
    }
  }
}

/** A token of at least 100 characters that ends in its number. */
const tokenOf = (number: number, exp: number | string = 100): string => `t${number}.${exp}.${'x'.repeat(80)}${String(number).padStart(22, '0')}`

/** Verifies tokens as often as it takes until they are remembered, whatever chance says. */
function acquaint (memory: TokenMemory<Claims>, ...tokens: string[]): void {
  for (const token of tokens) for (let time = 0; time < 60; time++) memory.verify(token, 0)
}

t.test('a token that was verified means the same ever after', async (t) => {
  const kind = countingKind()
  const memory = tokenMemory(kind, 10, 0)
  t.match(memory.verify(tokenOf(1), 0), { claims: { name: 't1', exp: 100 } })
  acquaint(memory, tokenOf(1))
  kind.asked.length = 0
  const known = memory.verify(tokenOf(1), 0)
  t.equal(memory.verify(tokenOf(1), 50), known)
  t.match(known, { claims: { name: 't1', exp: 100 } })
  t.same(kind.asked, [])
  t.equal(memory.sign({ name: 'x', exp: 1 }), 'signed x')
})

t.test('a token is kept when it comes again, and not before', async (t) => {
  let kept = 0
  for (let number = 0; number < 400; number++) {
    const kind = countingKind()
    const memory = tokenMemory(kind, 10, 0)
    memory.verify(tokenOf(number), 0)
    memory.verify(tokenOf(number), 0)
    t.equal(kind.asked.length, 2)
    memory.verify(tokenOf(number), 0)
    kept += 3 - kind.asked.length
  }
  t.ok(kept > 200 && kept < 400, `three in four at the second time (${kept} of 400)`)
})

t.test('two tokens that leave their marks in one place are both kept in the end', async (t) => {
  const kind = countingKind()
  const memory = tokenMemory(kind, 2, 0)
  for (let round = 0; round < 200; round++) for (const number of [1, 9]) memory.verify(tokenOf(number), 0)
  kind.asked.length = 0
  for (const number of [1, 9]) memory.verify(tokenOf(number), 0)
  t.same(kind.asked, [])
})

t.test('it tells how many tokens it remembers', async (t) => {
  const memory = tokenMemory(countingKind(), 2, 0)
  t.equal(memory.count(), 0)
  acquaint(memory, ...[1, 2, 3, 1].map((number) => tokenOf(number)))
  memory.verify(tokenOf(4, 'forged'), 0)
  t.equal(memory.count(), 2)
  memory.clear()
  t.equal(memory.count(), 0)
})

t.test('tokens of one ending are never mixed up', async (t) => {
  const kind = countingKind()
  const memory = tokenMemory(kind, 10, 0)
  const ending = 'z'.repeat(40)
  acquaint(memory, `alice.100.${ending}`)
  kind.asked.length = 0
  t.equal(memory.verify(`bobby.100.${ending}`, 0)?.claims.name, 'bobby')
  t.equal(memory.verify(`alice.100.${ending}`, 0)?.claims.name, 'alice')
  t.equal(memory.verify(`mallo.forged.${ending}`, 0), undefined)
  t.equal(kind.asked.length, 2, 'the first stays')
})

t.test('what is refused is not remembered, and pushes nothing out', async (t) => {
  const kind = countingKind()
  const memory = tokenMemory(kind, 2, 0)
  acquaint(memory, tokenOf(1), tokenOf(2))
  for (let number = 3; number < 1000; number++) t.equal(memory.verify(tokenOf(number, 'forged'), 0), undefined)
  kind.asked.length = 0
  memory.verify(tokenOf(1), 0)
  memory.verify(tokenOf(2), 0)
  t.same(kind.asked, [])
  memory.verify(tokenOf(5, 'forged'), 0)
  memory.verify(tokenOf(5, 'forged'), 0)
  t.equal(kind.asked.length, 2)
})

t.test('an expired token is handed back to be judged, and forgotten', async (t) => {
  const kind = countingKind()
  const memory = tokenMemory(kind, 2, 5)
  acquaint(memory, tokenOf(1))
  kind.asked.length = 0
  memory.verify(tokenOf(1), 104)
  t.equal(kind.asked.length, 0, 'within the tolerance it is remembered')
  t.match(memory.verify(tokenOf(1), 105), { claims: { exp: 100 } })
  memory.verify(tokenOf(1), 105)
  memory.verify(tokenOf(1), 105)
  t.equal(kind.asked.length, 2, 'and what has expired is not remembered anew')
})

// Claims are whole seconds: within one nothing becomes valid, unless the tolerance has a fraction.
for (const [tolerance, soonest] of [[0, 10], [2, 10], [0.5, 10.7]] as const) {
  t.test(`a clock that goes back opens again what a token says of its beginning (tolerance ${tolerance})`, async (t) => {
    const kind = countingKind()
    const memory = tokenMemory(kind, 2, tolerance)
    for (let time = 0; time < 60; time++) memory.verify(tokenOf(1), 10.7)
    kind.asked.length = 0
    memory.verify(tokenOf(1), soonest)
    t.equal(kind.asked.length, 0)
    memory.verify(tokenOf(1), soonest - 0.1)
    t.equal(kind.asked.length, 1)
    memory.verify(tokenOf(1), soonest - 0.1)
    t.equal(kind.asked.length, 1, 'from then on')
  })
}

t.test('after clear, every token is verified again', async (t) => {
  const kind = countingKind()
  const memory = tokenMemory(kind, 2, 0)
  acquaint(memory, tokenOf(1))
  memory.clear()
  kind.asked.length = 0
  memory.verify(tokenOf(1), 0)
  t.equal(kind.asked.length, 1)
})

t.test('what comes once is not kept', async (t) => {
  const kind = countingKind()
  const memory = tokenMemory(kind, 100, 0)
  const regulars = Array.from({ length: 50 }, (_, number) => tokenOf(number))
  acquaint(memory, ...regulars)
  for (let number = 1000; number < 20_000; number++) memory.verify(tokenOf(number), 0)
  kind.asked.length = 0
  for (const token of regulars) memory.verify(token, 0)
  t.ok(kind.asked.length < 10, `hardly anybody was pushed out (${kind.asked.length} of 50)`)
})

/** How many of some tokens are found, on the mean of a few rounds, when they go round in their order and the memory has settled. */
function foundOf (count: number, limit: number, rounds = 100): number {
  const kind = countingKind()
  const memory = tokenMemory(kind, limit, 0)
  const goRound = (): void => { for (let number = 0; number < count; number++) memory.verify(tokenOf(number), 0) }
  for (let round = 0; round < rounds; round++) goRound()
  kind.asked.length = 0
  for (let round = 0; round < 10; round++) goRound()
  return count - kind.asked.length / 10
}

t.test('it holds so many tokens and no more, and they do not chase each other out', async (t) => {
  t.equal(foundOf(100, 100), 100)
  for (const [count, least] of [[130, 50], [200, 50], [1000, 50]] as const) {
    const found = foundOf(count, 100)
    t.ok(found >= least && found <= 100, `${found} of ${count}: whoever takes all in finds none`)
  }
  const large = foundOf(5000, 1000, 20)
  t.ok(large >= 800 && large <= 1000, `${large} of 5000`)
  const small = tokenMemory(countingKind(), 1, 0)
  const long = `long.100.${'x'.repeat(4000)}`
  acquaint(small, long)
  t.ok(small.verify(long, 0), 'a token that is larger than the whole memory passes through')
})

t.test('of a header it keeps the token alone, and of that one copy', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const used = (): number => {
    collect()
    return process.memoryUsage().heapUsed
  }
  const [COUNT, REST] = [1000, 'x'.repeat(12_000)]
  const verified = { header: {}, claims: { exp: 100, name: 'anybody' }, session: { id: 's', subject: 'anybody' }, auth: undefined }
  const memory = tokenMemory({ ...countingKind(), verify: () => verified }, COUNT, 0)
  const before = used()
  for (let number = 0; number < COUNT; number++) {
    const token = tokenOf(number)
    for (let time = 0; time < 12; time++) memory.verify(Buffer.from(`${REST}${token}`).toString('latin1').slice(REST.length), 0)
  }
  const each = (used() - before) / COUNT
  t.ok(memory.count() > COUNT / 2)
  t.ok(each < REST.length / 4, `${each} bytes each`)
})

t.test('with no room nothing is remembered', async (t) => {
  const kind = countingKind()
  const memory = tokenMemory(kind, 0, 0)
  for (let call = 0; call < 40; call++) memory.verify(tokenOf(1), 0)
  t.equal(kind.asked.length, 40)
})

t.test('long tokens count for several', async (t) => {
  const kind = countingKind()
  const memory = tokenMemory(kind, 10, 0)
  const long = (number: number): string => `t${number}.100.${'x'.repeat(4700)}${String(number).padStart(22, '0')}`
  acquaint(memory, ...[1, 2, 3].map(long))
  kind.asked.length = 0
  for (const number of [3, 2, 1]) memory.verify(long(number), 0)
  t.same(kind.asked, [long(1)], 'two of them fill the room of ten')
})

t.test('when tokens fill the room, a sixteenth of it is made free', async (t) => {
  const memory = tokenMemory(countingKind(), 10, 0)
  const third = (number: number): string => `t${number}.100.${'x'.repeat(3300)}${String(number).padStart(22, '0')}`
  acquaint(memory, ...[1, 2, 3].map(third))
  t.equal(memory.count(), 3)
  acquaint(memory, third(4))
  t.equal(memory.count(), 2, 'three would leave less than that')
})

t.test('what is forgotten takes no room', async (t) => {
  const memory = tokenMemory(countingKind(), 10, 0)
  const half = (number: number): string => `t${number}.100.${'x'.repeat(4700)}${String(number).padStart(22, '0')}`
  for (let time = 0; time < 5; time++) {
    acquaint(memory, half(1), half(2))
    t.equal(memory.count(), 2)
    memory.clear()
  }
})

t.test('a token that is known from its tolerance on only is remembered too', async (t) => {
  const kind = countingKind()
  const memory = tokenMemory(kind, 2, 5)
  for (let time = 0; time < 60; time++) memory.verify(tokenOf(1), 102)
  kind.asked.length = 0
  memory.verify(tokenOf(1), 102)
  t.same(kind.asked, [])
})

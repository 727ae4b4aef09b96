import t from 'tap'
import { tokenMemory } from '../../lib/token-memory'
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
      return exp === 'forged' ? undefined : { header: {}, claims: { name: name as string, exp: Number(exp) }, auth: undefined }
    }
  }
}

/** A token of at least 100 characters that ends in its number. */
const tokenOf = (number: number, exp: number | string = 100): string => `t${number}.${exp}.${'x'.repeat(80)}${String(number).padStart(22, '0')}`

t.test('a token is verified once, and means the same ever after', async (t) => {
  const kind = countingKind()
  const memory = tokenMemory(kind, 10, 0)
  const first = memory.verify(tokenOf(1), 0)
  t.equal(memory.verify(tokenOf(1), 50), first)
  t.match(first, { claims: { name: 't1', exp: 100 } })
  t.same(kind.asked, [tokenOf(1)])
  t.equal(memory.sign({ name: 'x', exp: 1 }), 'signed x')
})

t.test('tokens of one ending are never mixed up', async (t) => {
  const kind = countingKind()
  const memory = tokenMemory(kind, 10, 0)
  const ending = 'z'.repeat(40)
  t.equal(memory.verify(`alice.100.${ending}`, 0)?.claims.name, 'alice')
  t.equal(memory.verify(`bobby.100.${ending}`, 0)?.claims.name, 'bobby')
  t.equal(memory.verify(`alice.100.${ending}`, 0)?.claims.name, 'alice')
  t.equal(memory.verify(`mallo.forged.${ending}`, 0), undefined)
  t.equal(kind.asked.length, 3, 'the first stays')
})

t.test('what is refused is not remembered, and pushes nothing out', async (t) => {
  const kind = countingKind()
  const memory = tokenMemory(kind, 2, 0)
  memory.verify(tokenOf(1), 0)
  memory.verify(tokenOf(2), 0)
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
  memory.verify(tokenOf(1), 0)
  memory.verify(tokenOf(1), 104)
  t.equal(kind.asked.length, 1, 'within the tolerance it is remembered')
  t.match(memory.verify(tokenOf(1), 105), { claims: { exp: 100 } })
  memory.verify(tokenOf(1), 105)
  memory.verify(tokenOf(1), 105)
  t.equal(kind.asked.length, 3, 'and what has expired is not remembered anew')
})

t.test('a clock that goes back opens again what a token says of its beginning', async (t) => {
  const kind = countingKind()
  const memory = tokenMemory(kind, 2, 0)
  memory.verify(tokenOf(1), 10)
  memory.verify(tokenOf(1), 9)
  t.equal(kind.asked.length, 2)
  memory.verify(tokenOf(1), 9)
  t.equal(kind.asked.length, 2)
})

t.test('after clear, every token is verified again', async (t) => {
  const kind = countingKind()
  const memory = tokenMemory(kind, 2, 0)
  memory.verify(tokenOf(1), 0)
  memory.clear()
  memory.verify(tokenOf(1), 0)
  t.equal(kind.asked.length, 2)
})

t.test('it holds so many tokens and no more; when it is full, one in seventeen gets in', async (t) => {
  const kind = countingKind()
  const memory = tokenMemory(kind, 100, 0)
  for (let number = 0; number < 1000; number++) memory.verify(tokenOf(number), 0)
  const hitsOf = (rounds: number): number => {
    kind.asked.length = 0
    for (let round = 0; round < rounds; round++) for (let number = 0; number < 1000; number++) memory.verify(tokenOf(number), 0)
    return rounds * 1000 - kind.asked.length
  }
  const hits = hitsOf(5)
  t.ok(hits > 250 && hits <= 500, `a tenth of the tokens of a rotation ten times too large is found (${hits} of 5000)`)
  const small = tokenMemory(countingKind(), 1, 0)
  t.ok(small.verify(`long.100.${'x'.repeat(4000)}`, 0), 'a token that is larger than the whole memory passes through')
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
  const long = (number: number): string => `t${number}.100.${'x'.repeat(5000)}${String(number).padStart(22, '0')}`
  for (const number of [1, 2, 3]) memory.verify(long(number), 0)
  kind.asked.length = 0
  for (const number of [1, 2, 3]) memory.verify(long(number), 0)
  t.equal(kind.asked.length, 1, 'two of them fill the room of ten')
})

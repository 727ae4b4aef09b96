import t from 'tap'
import { readHeader } from '../../lib/header-fields'
import { createKeyRing } from '../../lib/key-ring'
import { readKeys } from '../../lib/keys'
import { createTokens } from '../../lib/tokens'

const NOW = 1_800_000_000

t.test('looking at what is no token takes time in proportion to its length', async (t) => {
  const keys = readKeys({ secret: 'first-secret-of-the-tokens-test!!!!' }, true)
  const ring = createKeyRing({ ...keys, header: readHeader(undefined) })
  const tokens = createTokens(ring, { issuer: 'https://issuer.example', audience: ['api'], clockTolerance: 0, accessLifetime: 900 })
  /** The least of several rounds: one in which nobody else had the core. */
  const cost = (length: number) => Math.min(...Array.from({ length: 15 }, () => {
    const token = `${'A'.repeat(length)}!`
    const start = performance.now()
    for (let round = 0; round < 3000; round++) tokens.access.verify(token, NOW)
    return performance.now() - start
  }))
  cost(8000)
  const [short, long] = [cost(1000), cost(8000)]
  // Eight times in proportion; sixty-four times were it the square.
  t.ok(long < short * 32, `${long / short}`)
})

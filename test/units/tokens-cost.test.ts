import t from 'tap'
import { readHeader } from '../../lib/header-fields'
import { createKeyRing } from '../../lib/key-ring'
import { readKeys } from '../../lib/keys'
import { createTokens } from '../../lib/tokens'

const NOW = 1_800_000_000

t.test('looking at what is no token takes time in proportion to its length, whichever part is long', async (t) => {
  const keys = readKeys({ secret: 'first-secret-of-the-tokens-test!!!!' }, true)
  const ring = createKeyRing({ ...keys, header: readHeader(undefined) })
  const tokens = createTokens(ring, { issuer: 'https://issuer.example', audience: ['api'], clockTolerance: 0, accessLifetime: 900 })
  const [head] = ring.sign('at+jwt', {}, undefined).split('.')
  const shapes = {
    text: (text: string) => text,
    header: (text: string) => `${text}.e30.AA`,
    payload: (text: string) => `${head}.${text}.AA`,
    signature: (text: string) => `${head}.e30.${text}`
  }
  for (const [name, shape] of Object.entries(shapes)) {
    /** The least of several rounds: one in which nobody else had the core. */
    const cost = (length: number) => Math.min(...Array.from({ length: 15 }, () => {
      const token = shape(`${'A'.repeat(length)}!`)
      const start = performance.now()
      for (let round = 0; round < 1000; round++) tokens.access.verify(token, NOW)
      return performance.now() - start
    }))
    cost(8000)
    const [short, long] = [cost(1000), cost(8000)]
    // Eight times in proportion; sixty-four times were it the square.
    t.ok(long < short * 32, `${name}: ${long / short}`)
  }
})

import t from 'tap'
import { evict } from '../../lib/eviction'

/** What is left of so many keys of a map with so much room. */
function leftOf (count: number, limit: number): number[] {
  const map = new Map(Array.from({ length: count }, (_, key) => [key, null]))
  evict(map, limit, () => map.size > limit, (key) => map.delete(key))
  return [...map.keys()]
}

t.test('the oldest go, until there is room', async (t) => {
  t.same(leftOf(5, 3), [2, 3, 4])
  t.same(leftOf(3, 3), [0, 1, 2])
  t.same(leftOf(2, 0), [])
})

t.test('of a large map a sixteenth goes besides, so that the next search for the oldest is not soon', async (t) => {
  t.equal(leftOf(161, 160)[0], 11)
  t.equal(leftOf(165, 160)[0], 15)
})

import t from 'tap'
import { evict } from '../../lib/eviction'

t.test('the oldest go, until there is not too much', async (t) => {
  const map = new Map(Array.from({ length: 5 }, (_, key) => [key, null]))
  evict(map, () => map.size > 3, (key) => map.delete(key))
  t.same([...map.keys()], [2, 3, 4])
  evict(map, () => map.size > 3, (key) => map.delete(key))
  t.same([...map.keys()], [2, 3, 4])
  evict(map, () => true, (key) => map.delete(key))
  t.same([...map.keys()], [])
})

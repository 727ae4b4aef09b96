import t from 'tap'
import { ownStore, memoryStore } from '../../lib/stores/memory'
import { createSeats, type Seat } from '../../lib/seats'
import type { SessionRecord } from '../../types'

const recordOf = (id: string, expiresAt = 100.5, idleExpiresAt = 90.5): SessionRecord => ({
  id,
  subject: 'alice',
  revision: 1,
  expiresAt,
  revoked: false,
  state: { generation: 0, rotatedAt: 0, seen: false, authTime: 0, createdAt: 0, idleExpiresAt, device: {} }
})

t.test('a seat holds its record and what is asked of it, all times rounded down', async (t) => {
  const seats = createSeats(10)
  seats.take(recordOf('a'), 5.0009)
  seats.take({ ...recordOf('b', 80.5), state: { ...recordOf('b').state, generation: 3, seen: true } }, 5)
  t.match(seats.get('a'), { record: { id: 'a' }, generation: 0, seen: false, ends: 90, until: 5000 })
  t.match(seats.get('b'), { record: { id: 'b' }, generation: 3, seen: true, ends: 80, until: 5000 })
  t.equal(seats.count(), 2)
})

t.test('whoever knows a seat finds it empty once it was taken away', async (t) => {
  const seats = createSeats(16)
  const takeNew = (id: string): Seat => {
    seats.take(recordOf(id), 5)
    return seats.get(id) as Seat
  }
  const left = takeNew('left')
  seats.leave('left')
  seats.leave('nobody')
  t.same([left.record, seats.get('left')], [undefined, undefined])

  const former = takeNew('again')
  const next = takeNew('again')
  t.same([former.record, next.record?.id, seats.get('again')], [undefined, 'again', next])

  const others = Array.from({ length: 16 }, (_, number) => takeNew(`s${number}`))
  t.same([next.record, others[0]?.record, others[2]?.record?.id], [undefined, undefined, 's2'], 'the oldest ones, when there are too many')
  t.equal(seats.count(), 15)

  seats.clear()
  t.ok(others.every(({ record }) => record === undefined))
  t.equal(seats.count(), 0)
})

t.test('a memory store is looked into as long as it is asked itself, and no other store ever', async (t) => {
  const store = memoryStore()
  const own = ownStore(store)
  store.write(recordOf('a', Date.now(), Date.now()), 0)
  const seat = own?.get('a')
  t.match(seat, { record: { id: 'a' } })
  t.equal(own?.isItself(), true)

  store.write({ ...recordOf('a', Date.now(), Date.now()), revision: 2 }, 1)
  t.equal(seat?.record, undefined, 'another record has another seat')
  const next = own?.get('a')
  store.write({ ...recordOf('a', Date.now(), Date.now()), revision: 3, revoked: true }, 2)
  t.same([next?.record, own?.get('a')], [undefined, undefined])

  for (const broken of [{ expiresAt: undefined }, { expiresAt: NaN }, { state: undefined }]) {
    t.throws(() => store.write({ ...recordOf('b', Date.now(), Date.now()), ...broken } as unknown as SessionRecord, 0), { name: 'TypeError', message: /no record of a session/ })
  }
  t.equal(own?.get('b'), undefined, 'a session without an end would never be over')

  t.equal(ownStore(new Proxy(store, {})), undefined)
  store.read = () => []
  t.equal(own?.isItself(), false)
  t.equal(ownStore(store), undefined)
  t.equal(ownStore({ read: () => [], write: () => true, list: () => [] }), undefined)
})

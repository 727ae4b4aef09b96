import fc from 'fast-check'

export const NODES = 3

/** What can befall a call that a node sends to its store. */
export const MISHAPS = {
  before: 'is rejected before it is applied',
  after: 'is applied and rejected',
  mute: 'is applied and never answered',
  gone: 'never arrives',
  late: 'arrives when nobody waits for it any more',
  slow: 'arrives late',
  slowly: 'is answered late'
} as const

/** Befalls one store call of a request; those behind it fail as well if it lasts. */
export interface Mishap { readonly kind: keyof typeof MISHAPS, readonly at: number, readonly lasts: boolean }

/** A request of a client. */
export interface Act {
  readonly do: 'refresh' | 'use' | 'logout' | 'everywhere' | 'list'
  readonly node: number
  readonly session: number
  /** Which tokens of the session: the newest, or those so many generations before. */
  readonly back: number
  readonly mishap: Mishap | undefined
  /** Milliseconds that its store calls are on their way: there and back, one call after the other. */
  readonly paces: readonly number[]
}

export type Step =
  | Act
  | { readonly do: 'login', readonly node: number, readonly subject: number, readonly mishap: Mishap | undefined }
  | { readonly do: 'race', readonly acts: readonly Act[] }
  /** Time as it passes, and clocks that are set. */
  | { readonly do: 'pass' | 'jump', readonly seconds: number }
  | { readonly do: 'deaf' | 'slow' | 'cut', readonly node: number }
  | { readonly do: 'outage', readonly node: number }
  | { readonly do: 'mend' }
  | { readonly do: 'restart', readonly loses: number }

/** Rather the same twice. */
const node = fc.constantFrom(0, 0, 0, 1, 1, 2)

/** A lost acknowledgement of a write leaves the most open: the first call reads, the second writes. */
const trouble: fc.Arbitrary<Mishap> = fc.record({
  kind: fc.constantFrom('after', 'after', 'after', 'mute', 'mute', 'before', 'gone', 'late', 'slow', 'slowly'), at: fc.constantFrom(1, 1, 0, 2), lasts: fc.boolean()
})

/** Mostly nothing, and nothing when that fails, too. */
function mishapOnceIn (times: number): fc.Arbitrary<Mishap | undefined> {
  return fc.oneof({ withCrossShrink: true }, { weight: times - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: trouble })
}

const mishap = mishapOnceIn(4)

/** Mostly the newest tokens. */
const back: fc.Arbitrary<number> = fc.oneof({ withCrossShrink: true },
  { weight: 7, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.constant(2) }
)

const nothing = fc.constant(undefined)
const atOnce = fc.constant([])

function act (paces: fc.Arbitrary<readonly number[]>, befalls: fc.Arbitrary<Mishap | undefined>): fc.Arbitrary<Act> {
  const one = (what: Act['do'], mishap = befalls) => fc.record({ do: fc.constant(what), node, session: fc.nat(2), back, mishap, paces })
  return fc.oneof(
    { weight: 10, arbitrary: one('refresh') },
    { weight: 8, arbitrary: one('use') },
    { weight: 3, arbitrary: one('logout', befalls === mishap ? mishapOnceIn(2) : befalls) },
    { weight: 1, arbitrary: one('everywhere') },
    { weight: 1, arbitrary: one('list') }
  )
}

const race = fc.array(act(fc.array(fc.nat(4), { maxLength: 8 }), mishap), { minLength: 2, maxLength: 4 })

/** Histories of nodes in one process, whose time and whose troubles are made by hand. */
export const histories: fc.Arbitrary<readonly Step[]> = fc.array(fc.oneof(
  { weight: 24, arbitrary: act(atOnce, mishap) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('login' as const), node, subject: fc.nat(1), mishap }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('race' as const), acts: race }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), seconds: fc.constantFrom(0.1, 0.6, 1.6, 3) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('jump' as const),
      seconds: fc.constantFrom(10, 1, 9, 11, 60, 899, 900, 3590, 3599, 3600, 7199, 7200, -2)
    })
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('deaf' as const, 'slow' as const, 'cut' as const), node }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('outage' as const), node }) },
  { weight: 1, arbitrary: fc.constant({ do: 'mend' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), loses: fc.constantFrom(0, 1, 2, Infinity) }) }
), { minLength: 1, maxLength: 24, size: 'max' })

const storm = fc.oneof(
  fc.array(act(atOnce, nothing), { minLength: 2, maxLength: 6 }),
  // Logging out everywhere asks for several things at once, and what may come of many of those is too much to follow.
  fc.tuple(act(atOnce, nothing), fc.integer({ min: 3, max: 8 })).map(([one, times]) =>
    Array.from({ length: one.do === 'everywhere' ? 3 : times }, (_, count) => ({ ...one, node: count % NODES })))
)

/** Histories of processes, which nobody can stop where he wants: no mishaps made to order, and clocks that only go on. */
export const outsideHistories: fc.Arbitrary<readonly Step[]> = fc.array(fc.oneof(
  { weight: 12, arbitrary: act(atOnce, nothing) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('login' as const), node, subject: fc.constant(0), mishap: nothing }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('race' as const), acts: storm }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('jump' as const), seconds: fc.constantFrom(11, 60, 3700) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cut' as const), node }) }
), { minLength: 1, maxLength: 12, size: 'max' })

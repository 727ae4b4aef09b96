/** From the earliest moment that it can have been to the latest, in epoch seconds. */
export type Span = readonly [from: number, to: number]

/** What a model is told of the options. */
export interface Rules {
  readonly rotation: 'strict' | 'tolerant'
  readonly idleTimeout: number
  readonly absoluteTimeout: number
}

/** How long a node may go by what it remembers, when its link has died and nobody told it. */
export const LEASE = 1.5

/** W and L of the policy. */
const INTERVALS = { strict: { reuse: 0, recovery: 0 }, tolerant: { reuse: 10, recovery: 3600 } } as const

/** A session that has been opened and has not been ended. */
export interface Row {
  readonly revision: number
  readonly generation: number
  readonly rotatedAt: Span
  readonly seen: boolean
}

/**
 * What stood in the way of a request. `'unheard'`: a write was applied, and nobody heard of it, but it can be looked at: that is no
 * reason to fail. `'any'`: it may answer 503, and then nobody knows.
 */
export type Trouble = 'none' | 'unheard' | 'any'

/** What somebody wanted of one session, and what may be said of the answer: which one it was. */
export type Ask = {
  readonly trouble: Trouble
  readonly answers: readonly Answer[]
  /** The node may know of an end that the store has forgotten. */
  readonly mayKnow?: boolean
} & (
  /** `first`: the generation that its first read answered, null for none, as far as somebody watched. Who read it as current is no thief. */
  | { readonly kind: 'refresh', readonly presented: number, readonly first?: number | null }
  /** `deafSince`: on a node that may not have heard of an end, when the request began. */
  | { readonly kind: 'use', readonly generation: number, readonly node: number, readonly deafSince?: number }
  /** `firmOn`: on a node that knows afterwards that it tried, and trusts no memory of its own. */
  | { readonly kind: 'end', readonly firmOn?: number }
  | { readonly kind: 'show' })

export type Answer = `tokens ${number}` | 'refused' | 'accepted' | 'revoked' | 'ended' | 'not ended' | 'shown' | 'not shown' | '503'

/** How far somebody has come. */
interface Call {
  readonly ask: Ask
  /** What it has read; null for a session that is not there. */
  readonly view?: Row | null
  /** It read the generation that it presents as the current one, and somebody else wrote first. */
  readonly overlapped?: true
  /** It reads once more. */
  readonly isAgain?: true
  readonly isReuse?: true
  readonly answer?: Answer
  /** What the answer speaks of. */
  readonly about?: Row
  /** Nobody waits for it any more. */
  readonly isAbandoned?: true
}

/** A write on its way, whose author has given up. */
interface Late { readonly expected: number, readonly next: Row | null }

type Process = Call | { readonly late: Late }

/** One way that things may stand. */
interface World {
  readonly row: Row | null
  readonly endedAt: Span | null
  readonly endedBy?: number
  /** What was written over, the latest first. */
  readonly past: readonly (Row | null)[]
  readonly processes: readonly Process[]
}

/** More ways than this are not followed: a few more calls at once would take all memory there is. */
const MOST_WORLDS = 20_000

/** Too much may have happened to say what must not have. */
export class Unclear extends Error {
  override message = 'more may have happened than is followed'
}

/** How many writes are remembered for stores that lose the last ones, one restart after the other. */
const PAST = 12

/** What can be known of one session from what it answered: all the ways that things may stand. */
export interface SessionModel {
  /** Somebody begins. */
  begin (ask: Ask): void
  /** Whatever those who have begun can do within this time may have happened. */
  pass (during: Span): void
  /**
   * Somebody was answered. `fits` looks at the row that the answer speaks of.
   * @throws when that cannot be.
   */
  end (ask: Ask, fits?: (row: Row) => boolean): void
  /** Somebody was told that it failed, but goes on where nobody sees it. */
  abandon (ask: Ask): void
  /** The store forgot everything, or up to so many of its last writes. */
  lose (writes: number): void
  /** Whatever was on its way has arrived or never will. */
  calm (): void
  /** When a session that stands like this ends by itself. */
  endOf (row: Row): Span
  toString (): string
}

/** The session of a login that was acknowledged. */
export function sessionModel ({ rotation, idleTimeout, absoluteTimeout }: Rules, createdAt: Span): SessionModel {
  const { reuse, recovery } = INTERVALS[rotation]
  const first: Row = { revision: 1, generation: 0, rotatedAt: createdAt, seen: false }
  let worlds: readonly World[] = [{ row: first, endedAt: null, past: [null], processes: [] }]
  let latest = createdAt[1]
  /** Goes back to where time passed for the last time, and finds what could have been answered then. */
  let possible = (_ask: Ask): Answer[] => []

  const endOf = ({ rotatedAt }: Row): Span => [
    Math.min(rotatedAt[0] + idleTimeout, createdAt[0] + absoluteTimeout), Math.min(rotatedAt[1] + idleTimeout, createdAt[1] + absoluteTimeout)
  ]

  const mayBeDropped = (): boolean => latest >= createdAt[0] + absoluteTimeout

  /** What a call that has read may do now: answer, or write and then answer. */
  function * decisions (call: Call, during: Span): Generator<{ answer: Answer, about?: Row, next?: Row | null } | { reuse: true }> {
    const { ask, view, isReuse } = call
    const gone: Answer = isReuse || ask.kind === 'refresh' ? 'refused' : ask.kind === 'use' ? 'revoked' : ask.kind === 'end' ? 'not ended' : 'not shown'
    if (!view) return yield { answer: gone }
    const [from, to] = endOf(view)
    // A store may drop what is over, and a clock may go back.
    if (during[1] >= from || mayBeDropped()) yield { answer: gone }
    if (during[0] >= to) return

    const { generation, seen } = view
    if (ask.kind === 'show') return yield { answer: 'shown', about: view }
    if (ask.kind === 'end' || isReuse) return yield { answer: isReuse ? 'refused' : 'ended', next: null }
    const marked = { ...view, revision: view.revision + 1, seen: true }
    if (ask.kind === 'use') {
      const isNews = rotation === 'tolerant' && ask.generation === generation && !seen
      return yield isNews ? { answer: 'accepted', next: marked } : { answer: 'accepted' }
    }

    const { presented } = ask
    const least = Math.max(0, during[0] - view.rotatedAt[1])
    const most = Math.max(0, during[1] - view.rotatedAt[0])
    const repeated = { answer: `tokens ${generation}`, about: view } as const
    if (presented >= generation) {
      const next = { revision: view.revision + 1, generation: presented + 1, rotatedAt: during, seen: false }
      if (presented > generation || most >= reuse) yield { answer: `tokens ${presented + 1}`, about: next, next }
      if (presented === generation && least < reuse) yield seen ? repeated : { ...repeated, next: marked }
    } else if (call.overlapped) {
      yield repeated
    } else if (presented === generation - 1) {
      if (least < reuse) yield repeated
      if (most >= reuse && least < recovery && !seen) yield repeated
      if (most >= reuse && (most >= recovery || seen)) yield { reuse: true }
    } else {
      yield { reuse: true }
    }
  }

  /** Where things may go from here by one step of one call; undefined in place of a call that is over. */
  function * steps (world: World, process: Process, during: Span): Generator<readonly [Process | undefined, Partial<World>?, Process?]> {
    const { row } = world
    const written = (next: Row | null): Partial<World> => ({
      row: next, past: [row, ...world.past].slice(0, PAST), ...(next === null ? { endedAt: during } : {})
    })
    if ('late' in process) {
      if (row?.revision === process.late.expected) yield [undefined, written(process.late.next)]
      return
    }
    const { ask, view, isAbandoned } = process
    const kept = { ask, ...(isAbandoned ? { isAbandoned } : {}) }
    if (process.answer !== undefined) {
      if (isAbandoned) yield [undefined]
      return
    }
    if (view === undefined) {
      if (ask.trouble === 'any') yield [{ ...kept, answer: '503' }]
      if (ask.mayKnow) yield [{ ...kept, answer: ask.kind === 'use' ? 'revoked' : 'refused' }]
      if (ask.kind === 'use' && ask.deafSince !== undefined && row === null && world.endedAt !== null && world.endedBy !== ask.node) {
        if (ask.deafSince < world.endedAt[1] + LEASE) yield [{ ...kept, answer: 'accepted' }]
      }
      const first = ask.kind === 'refresh' && !process.isAgain ? ask.first : undefined
      if (first === undefined || first === (row?.generation ?? null)) yield [{ ...process, view: row }]
      // What is over may be gone.
      else if (first === null && mayBeDropped()) yield [{ ...process, view: null }]
      return
    }
    const isCurrent = view !== null && row?.revision === view.revision
    const again: Call = {
      ...kept,
      isAgain: true,
      ...(process.overlapped || (ask.kind === 'refresh' && view?.generation === ask.presented) ? { overlapped: true } : {}),
      ...(process.isReuse ? { isReuse: true } : {})
    }
    for (const decision of decisions(process, during)) {
      if ('reuse' in decision) {
        yield [{ ...again, isReuse: true }]
        continue
      }
      const { next, ...answer } = decision
      const answered: Call = { ...kept, ...answer }
      if (next === undefined) {
        yield [answered]
        continue
      }
      const firm = ask.kind === 'end' && ask.firmOn !== undefined ? { endedBy: ask.firmOn } : {}
      yield isCurrent ? [answered, { ...written(next), ...(next === null ? firm : {}) }] : [again]
      if (ask.trouble === 'none') continue
      // It is written, and nobody hears of it; others go on from there before it is looked at.
      if (isCurrent) yield [again, written(next)]
      if (ask.trouble === 'any') {
        const failed: Call = { ...kept, answer: '503' }
        if (isCurrent) yield [failed, { ...written(next), ...(next === null ? firm : {}) }]
        yield isCurrent ? [failed, {}, { late: { expected: (view as Row).revision, next } }] : [failed]
      }
      // What ended meanwhile is what was wanted.
      if (row === null && next === null) yield [answered]
    }
  }

  /** Where things may stand after a while; only such ways as lead to what was answered, unless that is what is asked. */
  function explore (from: readonly World[], during: Span, isOpen = false): readonly World[] {
    const found = new Map<string, World>(from.map((world) => [keyOf(world), world]))
    for (const world of found.values()) {
      world.processes.forEach((process, index) => {
        for (const [after, change, spawned] of steps(world, process, during)) {
          if (!isOpen && after !== undefined && !isWhatWasAnswered(after)) continue
          const processes = [...world.processes.slice(0, index), ...world.processes.slice(index + 1), after, spawned].filter((one) => one !== undefined)
          add(found, { ...world, ...change, processes })
        }
      })
      if (found.size > MOST_WORLDS) throw new Unclear()
    }
    return [...found.values()]
  }

  function pass (during: Span): void {
    latest = Math.max(latest, during[1])
    const before = worlds
    worlds = explore(before, during)
    possible = (ask) => explore(before, during, true).flatMap(({ processes }) => processes.flatMap((process) =>
      'late' in process || !isSame(process.ask, ask) || process.answer === undefined ? [] : [process.answer]))
  }

  /** Puts other worlds in place of each; of the process of `ask` one that `isRight` is taken out. */
  function take (ask: Ask, isRight: (call: Call) => boolean, then: (world: World, call: Call) => World = (world) => world): boolean {
    const found = new Map<string, World>()
    for (const world of worlds) {
      for (const call of world.processes) {
        if ('late' in call || call.isAbandoned || !isSame(call.ask, ask) || !isRight(call)) continue
        const processes = world.processes.filter((one) => one !== call)
        add(found, then({ ...world, processes }, call))
      }
    }
    if (found.size > 0) worlds = [...found.values()]
    return found.size > 0
  }

  return {
    pass,
    endOf,
    begin (ask) { worlds = worlds.map((world) => ({ ...world, processes: [...world.processes, { ask }] })) },

    end (ask, fits = () => true) {
      if (take(ask, ({ answer, about }) => answer !== undefined && (about === undefined || fits(about)))) return
      const allowed = new Set(possible(ask))
      const isOdd = ask.answers.some((answer) => allowed.has(answer))
      throw new Error(`${isOdd ? 'it speaks of the wrong times, or does not go with what came before' : `allowed is: ${[...allowed].join(' or ')}`}; known is: ${describe()}`)
    },

    abandon (ask) {
      take(ask, () => true, (world, call) => ({ ...world, processes: [...world.processes, { ...call, isAbandoned: true }] }))
    },

    lose (writes) {
      const found = new Map<string, World>()
      for (const world of worlds) {
        // Every link broke, so nobody goes by what it remembers.
        const base = { processes: [], endedAt: null }
        const rows = writes === Infinity ? [null] : [world.row, ...world.past].slice(0, writes + 1)
        rows.forEach((row, count) => add(found, { ...base, row, past: writes === Infinity ? [] : world.past.slice(count) }))
      }
      worlds = [...found.values()]
    },

    calm () {
      const found = new Map<string, World>()
      for (const world of worlds) add(found, { ...world, processes: [] })
      worlds = [...found.values()]
    },

    toString: describe
  }

  function describe (): string {
    const rows = new Set(worlds.map(({ row }) => row === null
      ? 'it has ended'
      : `generation ${row.generation} since ${row.rotatedAt[1] - createdAt[1]} s, ${row.seen ? 'seen' : 'not seen'}`))
    return [...rows].join('; or ')
  }
}

/** What was made is never changed, so that its name lasts. */
const names = new WeakMap<object, string>()

function nameOf (thing: object): string {
  const known = names.get(thing)
  if (known !== undefined) return known
  const name = JSON.stringify(thing)
  names.set(thing, name)
  return name
}

function isSame (one: Ask, other: Ask): boolean {
  return one === other || nameOf(one) === nameOf(other)
}

function isWhatWasAnswered (process: Process): boolean {
  return 'late' in process || process.answer === undefined || process.isAbandoned === true || process.ask.answers.includes(process.answer)
}

/** The order of calls says nothing. */
function keyOf ({ row, endedAt, endedBy, past, processes }: World): string {
  return `${row && nameOf(row)} ${endedAt} ${endedBy} ${nameOf(past)} ${processes.length > 1 ? processes.map(nameOf).sort() : processes.map(nameOf)}`
}

function add (worlds: Map<string, World>, world: World): void {
  const key = keyOf(world)
  if (!worlds.has(key)) worlds.set(key, world)
}

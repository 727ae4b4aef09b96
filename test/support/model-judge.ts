import { sessionModel, type Answer, type Ask, type Row, type SessionModel, type Span } from './model'
import type { Act } from './model-history'
import type { Cluster, Outcome, Reply, Request, Tokens } from './model-cluster'

/** The longest life of an access token, in seconds. */
const ACCESS = 900
/** For how long an answer may be lost in tolerant rotation. */
const RECOVERY = 3600

/** A session that was opened, and what is known of it besides the model. */
export interface Known {
  readonly name: string
  readonly subject: string
  readonly id: string
  readonly model: SessionModel
  readonly createdAt: Span
  /** In the order of their generations, the latest of each. */
  readonly tokens: Tokens[]
  /** Its client did nothing but use its newest tokens. */
  isHonest: boolean
  /** Since when its client has waited for an answer to a refresh. */
  waitingSince: number | undefined
  /** Its end was acknowledged. */
  isOver: boolean
  /** The store lost data since it was opened. */
  hasLost: boolean
  /** Until when a node has to know that it was ended, whatever the store says. */
  readonly tombs: Map<number, number>
  /** Nodes that may know that it was ended. */
  readonly mayKnow: Set<number>
}

/** An answer that must not have been. */
export class Wrong extends Error {}

/** A request, and how its outcome is judged: all that began together is begun, then time passes, then each is judged. */
export interface Plan {
  readonly request: Request
  readonly words: string
  begin? (outcome: Outcome): void
  judge (outcome: Outcome, during: Span): void
}

/** What is known of the sessions of one history, and what may be answered to whom. */
export interface Judge {
  readonly known: readonly Known[]
  login (outcome: Outcome, subject: string, createdAt: Span): void
  /** What an act asks for, among all that happen at once; nothing when there is no session. */
  plan (act: Act, all: readonly Act[]): Plan | undefined
  /** Takes in which nodes have got to know what. */
  heard (): void
}

export function judgeOf (cluster: Cluster): Judge {
  const { rules } = cluster
  const known: Known[] = []
  /** How many sessions of a subject may be there that nobody has tokens of. */
  const strangers = new Map<string, number>()

  function login (outcome: Outcome, subject: string, createdAt: Span): void {
    const { reply, trouble } = outcome
    if (reply?.answer === '503' && trouble === 'any') {
      strangers.set(subject, (strangers.get(subject) ?? 0) + 1)
      return
    }
    if (reply?.answer !== 'tokens') throw wrong(outcome, 'tokens')
    const { tokens } = reply
    const model = sessionModel(rules, createdAt)
    const name = `session ${known.length}`
    known.push({
      name, subject, id: tokens.id, model, createdAt, tokens: [tokens], isHonest: true, waitingSince: undefined, isOver: false, hasLost: false, tombs: new Map(), mayKnow: new Set()
    })
    if (!fits(model, tokens, { revision: 1, generation: 0, rotatedAt: createdAt, seen: false }, createdAt)) throw new Wrong('the tokens end at a wrong time')
  }

  function plan (act: Act, all: readonly Act[]): Plan | undefined {
    const one = known[act.session % known.length]
    if (one === undefined) return undefined
    const tokens = one.tokens[Math.max(0, one.tokens.length - 1 - act.back)] as Tokens
    switch (act.do) {
      case 'refresh': return refresh(one, tokens, act, all)
      case 'use': return use(one, tokens, act)
      case 'logout': return logout(one, act, all)
      case 'everywhere': return cluster.sparesAsker ? everywhere(one, act) : everywhereAs(one, act)
      case 'list': return list(one, act)
    }
  }

  function refresh (one: Known, tokens: Tokens, { node, mishap, paces }: Act, all: readonly Act[]): Plan {
    const { model } = one
    const { generation: presented } = tokens
    const from = cluster.now()
    const request = { do: 'refresh', tokens, node, mishap, paces } as const
    const words = `refresh(${one.name}, generation ${presented})`
    if (tokens.refreshEnd <= from) return { request, words: `${words}, which has expired`, judge: only('refused') }
    if (isBuried(one, node, from)) return { request, words: `${words}, of whose end it heard`, judge: only('refused') }

    // Strict rotation takes a repetition for a theft.
    const rivals = all.filter((other) => other.do === 'refresh' && known[other.session % known.length] === one).length > 1
    if (tokens !== one.tokens.at(-1) || (rivals && rules.rotation === 'strict')) one.isHonest = false
    const wasOver = isOver(one, node)
    const doubt = doubtOf(one, node)
    let ask: Ask
    return {
      request,
      words,
      begin ({ trouble, reply, first }) {
        model.begin(ask = { kind: 'refresh', presented, trouble, answers: answersOf(reply), ...doubt, ...(first === undefined ? {} : { first }) })
      },
      judge: (outcome, during) => {
        const { reply } = outcome
        if (reply?.answer === '503') {
          end(model, ask)
          one.waitingSince ??= from
        } else if (reply?.answer === 'tokens') {
          const fresh = reply.tokens
          end(model, ask, (row) => fits(model, fresh, row, during))
          if (wasOver) throw new Wrong('a session that was ended is renewed')
          keep(one, fresh)
          one.waitingSince = undefined
        } else if (reply?.answer === 'refused') {
          end(model, ask)
          if (tokens.refreshEnd <= during[1]) return
          if (mustBeLive(one)) throw new Wrong('an honest client is logged out')
          one.isOver = true
          one.isHonest = false
        } else throw wrong(outcome, 'tokens', 'refused')
      }
    }
  }

  function use (one: Known, tokens: Tokens, { node, mishap, paces }: Act): Plan {
    const { model } = one
    const from = cluster.now()
    const request = { do: 'use', tokens, node, mishap, paces } as const
    const words = `use(${one.name}, generation ${tokens.generation})`
    if (tokens.accessEnd <= from) return { request, words: `${words}, which has expired`, judge: only('expired') }
    if (isBuried(one, node, from)) return { request, words: `${words}, of whose end it heard`, judge: only('revoked') }

    const wasOver = isOver(one, node)
    const common = { ...using(tokens, node, from), ...doubtOf(one, node) }
    let ask: Ask
    return {
      request,
      words,
      begin ({ trouble, reply }) { model.begin(ask = { ...common, trouble, answers: answersOf(reply) }) },
      judge: (outcome) => {
        const answer = oneOf(outcome, 'accepted', 'revoked')
        end(model, ask)
        if (answer === 'accepted' && wasOver) throw new Wrong('a session that was ended is let in')
        if (answer === 'revoked' && mustBeLive(one)) throw new Wrong('an honest client is logged out')
      }
    }
  }

  function using ({ generation }: Tokens, node: number, from: number) {
    return { kind: 'use', generation, node, ...(cluster.isDeaf(node) ? { deafSince: from } : {}) } as const
  }

  function doubtOf ({ hasLost, mayKnow }: Known, node: number): { mayKnow?: true } {
    return hasLost && mayKnow.has(node) ? { mayKnow: true } : {}
  }

  function logout (one: Known, { node, mishap, paces }: Act, all: readonly Act[]): Plan {
    const { model, subject } = one
    const firm = all.length === 1 && mishap?.kind !== 'late' ? { firmOn: node } : {}
    let ask: Ask
    return {
      request: { do: 'logout', tokens: one.tokens.at(-1) as Tokens, subject, node, mishap, paces },
      words: `logout(${one.name})`,
      begin ({ trouble, reply }) {
        model.begin(ask = { kind: 'end', trouble, answers: answersOf(reply), ...firm })
        one.isHonest = false
      },
      judge (outcome) {
        const answer = oneOf(outcome, 'ended', 'not ended', 'gone')
        end(model, ask)
        if (answer === 'ended' || answer === 'gone') one.isOver = true
      }
    }
  }

  /** All sessions of a subject but one. */
  function everywhere (one: Known, { node, mishap, paces }: Act): Plan {
    const { subject } = one
    const others = known.filter((other) => other.subject === subject && other !== one)
    const asks = new Map<Known, Ask>()
    return {
      request: { do: 'everywhere', tokens: one.tokens.at(-1) as Tokens, subject, node, mishap, paces },
      words: `log out everywhere(all but ${one.name})`,
      begin ({ trouble, reply }) {
        for (const other of others) {
          const ids = reply?.answer === 'all gone' ? reply.ids : undefined
          const ask: Ask = { kind: 'end', trouble, answers: ids === undefined ? GONE : [ids.includes(other.id) ? 'ended' : 'not ended'] }
          asks.set(other, ask)
          other.model.begin(ask)
          other.isHonest = false
        }
      },
      judge: (outcome) => {
        const { reply, trouble } = outcome
        if (reply?.answer === '503' && trouble === 'any') return asks.forEach((ask, { model }) => model.abandon(ask))
        if (reply?.answer !== 'all gone' || reply.ids === undefined) throw wrong(outcome, 'all gone')
        for (const [other, ask] of asks) {
          end(other.model, ask)
          if (reply.ids.includes(other.id)) other.isOver = true
        }
        const rest = reply.ids.filter((id) => !others.some((other) => other.id === id))
        if (rest.length > strangersOf(subject)) throw new Wrong('a session is ended that nobody opened, or that was to be spared')
      }
    }
  }

  /** All sessions of a subject, if the one that asks is live. */
  function everywhereAs (one: Known, { node, mishap, paces }: Act): Plan {
    const { subject, model } = one
    const tokens = one.tokens.at(-1) as Tokens
    const from = cluster.now()
    const all = known.filter((other) => other.subject === subject)
    const request = { do: 'everywhere', tokens, subject, node, mishap, paces } as const
    const words = `log out everywhere(as ${one.name})`
    if (tokens.accessEnd <= from) return { request, words: `${words}, whose token has expired`, judge: only('expired') }

    const common = using(tokens, node, from)
    let entry: Ask
    let ask: Ask
    return {
      request,
      words,
      begin ({ reply, trouble }) {
        model.begin(entry = { ...common, trouble, answers: [reply?.answer === 'revoked' ? 'revoked' : 'accepted'] })
        ask = { kind: 'end', trouble, answers: GONE }
        if (reply?.answer === 'revoked') return
        for (const other of all) {
          other.model.begin(ask)
          other.isHonest = false
        }
      },
      judge (outcome) {
        const { reply, trouble } = outcome
        if (reply?.answer === 'revoked') return end(model, entry)
        if (reply?.answer === '503' && trouble === 'any') {
          model.abandon(entry)
          return all.forEach((other) => other.model.abandon(ask))
        }
        if (reply?.answer !== 'all gone') throw wrong(outcome, 'all gone', 'revoked')
        end(model, entry)
        for (const other of all) {
          end(other.model, ask)
          other.isOver = true
        }
      }
    }
  }

  function list ({ name, subject }: Known, { node, mishap, paces }: Act): Plan {
    const { absoluteTimeout } = rules
    const all = known.filter((other) => other.subject === subject)
    const asks = new Map<Known, Ask>()
    return {
      request: { do: 'list', subject, node, mishap, paces },
      words: `list(subject of ${name})`,
      begin ({ trouble, reply }) {
        for (const one of all) {
          const isShown = reply?.answer === 'listed' && reply.sessions.some(({ id }) => id === one.id)
          const ask: Ask = { kind: 'show', trouble, answers: [isShown ? 'shown' : 'not shown'] }
          asks.set(one, ask)
          one.model.begin(ask)
        }
      },
      judge: (outcome) => {
        const { reply, trouble } = outcome
        if (reply?.answer === '503' && trouble === 'any') return asks.forEach((ask, { model }) => model.abandon(ask))
        if (reply?.answer !== 'listed') throw wrong(outcome, 'listed')
        for (const [{ id, model, createdAt }, ask] of asks) {
          const shown = reply.sessions.find((session) => session.id === id)
          end(model, ask, (row) => shown !== undefined &&
            isIn(shown.createdAt, createdAt) && isIn(shown.expiresAt - absoluteTimeout, createdAt) &&
            isIn(shown.rotatedAt, row.rotatedAt) && isIn(shown.idleExpiresAt, model.endOf(row)))
        }
        const rest = reply.sessions.filter(({ id }) => !all.some((one) => one.id === id))
        if (rest.length > strangersOf(subject)) throw new Wrong('a session is listed that nobody opened')
      }
    }
  }

  function strangersOf (subject: string): number {
    return strangers.get(subject) ?? 0
  }

  /** Whether nobody but a node that does not hear can let it in. */
  function isOver (one: Known, node: number): boolean {
    return one.isOver && !one.hasLost && !cluster.isDeaf(node)
  }

  /** Whether its client may rely on it, as CONTRACT says: what it missed can be recovered, in tolerant rotation and for a while. */
  function mustBeLive ({ isHonest, waitingSince }: Known): boolean {
    return isHonest && (waitingSince === undefined || (cluster.rules.rotation === 'tolerant' && cluster.now() - waitingSince < RECOVERY))
  }

  function heard (): void {
    for (const { id, node, at, isSure } of cluster.heard()) {
      const one = known.find((other) => other.id === id)
      one?.mayKnow.add(node)
      if (isSure) one?.tombs.set(node, at + ACCESS)
    }
  }

  return { known, login, plan, heard }
}

/** Whether tokens end when they have to. */
function fits (model: SessionModel, { accessEnd, refreshEnd }: Tokens, row: Row, [from, to]: Span): boolean {
  const [least, most] = model.endOf(row)
  return isIn(refreshEnd, [Math.floor(least), Math.floor(most)]) &&
    isIn(accessEnd, [Math.min(Math.floor(from) + ACCESS, refreshEnd), Math.min(Math.floor(to) + ACCESS, refreshEnd)])
}

/** One refresh token for each generation: two are a fork. */
function keep ({ tokens, hasLost }: Known, fresh: Tokens): void {
  const index = tokens.findIndex(({ generation }) => generation === fresh.generation)
  if (index !== -1 && !hasLost && tokens[index]?.refresh !== fresh.refresh) {
    throw new Wrong(`there are two different tokens of generation ${fresh.generation}: the chain has forked`)
  }
  tokens.splice(index === -1 ? tokens.length : index, index === -1 ? 0 : 1, fresh)
  tokens.sort((one, other) => one.generation - other.generation)
}

function isBuried ({ tombs }: Known, node: number, now: number): boolean {
  return (tombs.get(node) ?? 0) > now
}

function isIn (value: number, [least, most]: Span): boolean {
  return least <= value && value <= most
}

function end (model: SessionModel, ask: Ask, looks?: (row: Row) => boolean): void {
  try {
    model.end(ask, looks)
  } catch (error) {
    throw new Wrong((error as Error).message)
  }
}

/** A session that was to end and is gone: nobody may be told who did it. */
const GONE: readonly Answer[] = ['ended', 'not ended']

/** What a reply that is about one session says of it; anything for one that does not belong there. */
function answersOf (reply: Reply | undefined): readonly Answer[] {
  switch (reply?.answer) {
    case 'tokens': return [`tokens ${reply.tokens.generation}`]
    case 'gone': return GONE
    case 'refused':
    case 'accepted':
    case 'revoked':
    case 'ended':
    case 'not ended':
    case '503': return [reply.answer]
    default: return []
  }
}

type Plain = Exclude<Reply['answer'], 'tokens' | 'listed' | 'all gone' | 'broken'>

function only (answer: Plain): Plan['judge'] {
  return (outcome) => { oneOf({ ...outcome, trouble: 'none' }, answer) }
}

function oneOf<Answers extends Plain> (outcome: Outcome, ...answers: Answers[]): Answers | '503' {
  const answer = outcome.reply?.answer
  if (answer === '503' ? outcome.trouble === 'any' : answers.includes(answer as Answers)) return answer as Answers | '503'
  throw wrong(outcome, ...answers)
}

function wrong ({ reply, trouble }: Outcome, ...allowed: (Reply['answer'])[]): Wrong {
  if (reply === undefined) return new Wrong('it was never answered')
  if (reply.answer === 'broken') return new Wrong('an error that has no code, or one that does not belong here')
  return new Wrong(`allowed is: ${[...allowed, ...trouble === 'any' ? ['503'] : []].join(' or ')}`)
}

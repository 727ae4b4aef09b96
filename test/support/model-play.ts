import { LEASE, Unclear, type Span } from './model'
import { MISHAPS, NODES, type Act, type Mishap, type Step } from './model-history'
import { judgeOf, Wrong } from './model-judge'
import type { Cluster, Reply } from './model-cluster'

/** What came of a history: every step in a line, and what must not have been; or that it was not judged to its end. */
export interface Story { readonly lines: readonly string[], readonly failure: string | undefined, readonly isUnclear?: true }

const nodes = Array.from({ length: NODES }, (_, node) => node)

/** Plays a history, and holds every answer against the model. */
export async function play (cluster: Cluster, history: readonly Step[]): Promise<Story> {
  const lines: string[] = []
  const judge = judgeOf(cluster)
  const { known } = judge
  let furthest = cluster.now()

  async function login (node: number, index: number, mishap: Mishap | undefined): Promise<void> {
    const subject = cluster.subject(index)
    const from = cluster.now()
    const [outcome] = await cluster.perform([{ do: 'login', node, subject, mishap, paces: [] }])
    if (outcome === undefined) throw new Error('There is no outcome')
    lines.push(`node ${node}: login(subject ${index})${befallen(mishap)} → ${outcome.reply?.answer === 'tokens' ? `session ${known.length}` : wordOf(outcome.reply)}`)
    judge.login(outcome, subject, [from, cluster.now()])
  }

  async function perform (acts: readonly Act[]): Promise<void> {
    const from = cluster.now()
    const plans = acts.flatMap((act) => {
      const plan = judge.plan(act, acts)
      return plan === undefined ? [] : [{ act, ...plan }]
    })
    if (plans.length === 0) return
    const outcomes = await cluster.perform(plans.map(({ request }) => request))
    const during: Span = [from, cluster.now()]
    const all = plans.flatMap((plan, index) => outcomes.slice(index, index + 1).map((outcome) => ({ ...plan, outcome })))
    for (const { act, words, outcome } of all) {
      const name = `node ${act.node}: ${words}${befallen(act.mishap)}`
      lines.push(`${all.length > 1 ? (act === all[0]?.act ? 'at once ' : '    and ') : ''}${name} → ${wordOf(outcome.reply)}`)
    }
    for (const { begin, outcome } of all) begin?.(outcome)
    passTime(during)
    for (const { act, words, outcome, judge } of all) {
      try {
        judge(outcome, during)
      } catch (error) {
        if (error instanceof Wrong && all.length > 1) throw new Wrong(`node ${act.node}: ${words}: ${error.message}`)
        throw error
      }
    }
    judge.heard()
    calm()
  }

  function passTime (during: Span): void {
    for (const { model } of known) model.pass(during)
  }

  function calm (): void {
    if (cluster.isCalm()) for (const { model } of known) model.calm()
  }

  async function take (step: Step): Promise<void> {
    furthest = Math.max(furthest, cluster.now())
    if (step.do === 'login') return await login(step.node, step.subject, step.mishap)
    if (step.do === 'race') return await perform(step.acts)
    if ('session' in step) return await perform([step])
    if (step.do === 'jump') {
      // Further back tokens would be from the future.
      if (cluster.now() + step.seconds < furthest - 4) return
    }
    lines.push(sentenceOf(step))
    const from = cluster.now()
    await cluster.trouble(step)
    if (step.do === 'pass') {
      passTime([from, cluster.now()])
      calm()
    } else if (step.do === 'restart') {
      for (const one of known) {
        one.model.lose(step.loses)
        one.hasLost ||= step.loses > 0
        one.isHonest &&= step.loses === 0
      }
    }
  }

  /** Mends everything, and sees what is left: whoever got a 503 goes on. */
  async function finish (): Promise<void> {
    await take({ do: 'mend' })
    await take({ do: 'pass', seconds: 2 * LEASE })
    const plain = { mishap: undefined, paces: [], back: 0 }
    for (const [session, { isHonest }] of known.entries()) {
      await take({ do: 'list', node: 0, session, ...plain })
      for (const node of nodes) await take({ do: 'use', node, session, ...plain })
      if (isHonest) await take({ do: 'refresh', node: session % NODES, session, ...plain })
    }
  }

  try {
    await login(0, 0, undefined)
    for (const step of history) await take(step)
    await finish()
    return { lines, failure: undefined }
  } catch (error) {
    if (error instanceof Unclear) return { lines, failure: undefined, isUnclear: true }
    if (!(error instanceof Wrong)) throw error
    return { lines, failure: error.message }
  }
}

function sentenceOf (step: Exclude<Step, Act | { do: 'login' | 'race' }>): string {
  switch (step.do) {
    case 'pass': return `${step.seconds} s pass`
    case 'jump': return `the clocks of all nodes are set ${Math.abs(step.seconds)} s ${step.seconds < 0 ? 'back' : 'ahead'}`
    case 'restart': return `the store restarts, and has lost ${step.loses === 0 ? 'nothing' : step.loses === Infinity ? 'everything' : `its last ${step.loses} writes`}`
    case 'deaf': return `node ${step.node} hears no notices any more, and does not know it`
    case 'slow': return `node ${step.node} hears notices late`
    case 'cut': return `node ${step.node} loses its connections`
    case 'outage': return `node ${step.node} does not reach the store any more`
    case 'mend': return 'all is mended'
  }
}

function befallen (mishap: Mishap | undefined): string {
  return mishap === undefined ? '' : `, whose store call ${mishap.at} ${MISHAPS[mishap.kind]}${mishap.lasts ? ', and later ones fail' : ''},`
}

function wordOf (reply: Reply | undefined): string {
  if (reply === undefined) return 'nothing'
  switch (reply.answer) {
    case 'tokens': return `generation ${reply.tokens.generation}`
    case 'listed': return `${reply.sessions.length} sessions`
    case 'all gone': return reply.ids === undefined ? '204' : `ended ${reply.ids.length}`
    case 'broken': return reply.by
    case 'refused':
    case 'revoked':
    case 'expired': return `401 ${reply.answer}`
    default: return reply.answer
  }
}

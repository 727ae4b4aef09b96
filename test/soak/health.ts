import type { Vitals } from '../support/session-node'
import type { Ledger } from './ledger'

/** A node's vitals at moments at which nobody asked anything of it. */
export interface History { readonly name: string, readonly samples: Vitals[] }

type Measure = Exclude<keyof Vitals, 'troubles' | 'logged' | 'dialed'>

/**
 * By how much the last third of a run may exceed its middle third. Of the heap, the medians are compared: the just-in-time compiler
 * goes on for long. All else is compared by its maximum: connections and threads come and go with the traffic of the moment before.
 */
const ALLOWED: Readonly<Record<Measure, readonly [factor: number, more: number]>> = {
  heap: [1.1, 1_000_000],
  rss: [1.25, 20_000_000],
  sockets: [1, 4],
  timers: [1, 4],
  listeners: [1, 0],
  threads: [1, 2],
  files: [1, 6]
}

const median = (values: readonly number[]) => [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] as number

/** Violations of what has to stay bounded. */
export function judgeHistory ({ name, samples }: History, ledger: Ledger): void {
  const third = Math.floor(samples.length / 3)
  for (const [measure, [factor, more]] of Object.entries(ALLOWED) as [Measure, readonly [number, number]][]) {
    const values = samples.map((sample) => sample[measure])
    const summary = measure === 'heap' || measure === 'rss' ? median : (list: readonly number[]) => Math.max(...list)
    if (third === 0) continue
    const [middle, last] = [summary(values.slice(-2 * third, -third)), summary(values.slice(-third))]
    if (last > middle * factor + more) ledger.violate(`${measure} of ${name} grew from ${middle} in the middle third to ${last} in the last`)
  }
  for (const trouble of new Set(samples.flatMap(({ troubles }) => troubles))) ledger.violate(`${name}: ${trouble}`)
}

/** One row for each node: what it had at the start, in the middle and at the end. */
export function healthTable (histories: readonly History[]): string {
  const measures: readonly (readonly [Measure, string, number])[] = [
    ['heap', 'heap, MB', 1e6], ['rss', 'rss, MB', 1e6], ['sockets', 'sockets', 1], ['timers', 'timers', 1], ['listeners', 'listeners', 1], ['threads', 'threads', 1], ['files', 'files', 1]
  ]
  const rows = histories.map(({ name, samples }) => {
    const [first, middle, last] = [samples[0], samples[Math.floor(samples.length / 2)], samples.at(-1)]
    const cells = measures.map(([measure, , unit]) => [first, middle, last].map((sample) => ((sample?.[measure] ?? 0) / unit).toFixed(unit === 1 ? 0 : 1)).join(' / '))
    return `| ${name} | ${cells.join(' | ')} |`
  })
  return [`| node, at the start / in the middle / at the end | ${measures.map(([, title]) => title).join(' | ')} |`, `| --- |${' ---: |'.repeat(measures.length)}`, ...rows].join('\n')
}

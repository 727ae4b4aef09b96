import { digits, machine, save, table, withSpread } from './report.mjs'
import { spread } from './statistics.mjs'
import { BARE, goals, JWT_VERIFY } from './targets/index.mjs'

/** The spread of the ratios that were taken inside one round, of two targets. */
function ratio (bursts, name, base, valueOf) {
  if (!(bursts[name]?.length > 0 && bursts[base]?.length > 0)) return undefined
  return spread(bursts[name].map((burst, index) => valueOf(burst, bursts[base][index])))
}

const byRate = (one, other) => one.rate / other.rate
const byCpu = (one, other) => other.cpu / one.cpu

function rowOf (bursts, name) {
  const median = (member) => spread(bursts[name].map((burst) => burst[member])).median
  const over = (member) => ratio(bursts, name, BARE, (one, other) => one[member] - other[member])?.median
  return {
    route: name,
    'req/s': digits(median('rate'), 0),
    'of bare': withSpread(ratio(bursts, name, BARE, byRate)),
    'of bare by CPU': digits(ratio(bursts, name, BARE, byCpu)?.median),
    'of jwtVerify()': withSpread(ratio(bursts, name, JWT_VERIFY, byRate)),
    'CPU µs/req': digits(median('cpu'), 1),
    'over bare µs': digits(over('cpu'), 1),
    'of that user µs': digits(over('userCpu'), 1),
    'p99 ms': digits(median('p99'), 1),
    'RSS MB': digits(median('rss') / 2 ** 20, 0)
  }
}

function goalRowOf (bursts, { target, of, least }) {
  const measured = ratio(bursts, target, of, byRate)
  return measured && {
    goal: `${target} / ${of}`,
    least: digits(least),
    measured: withSpread(measured),
    'by CPU': digits(ratio(bursts, target, of, byCpu).median),
    // No guard can do better than none.
    'bare route': digits(ratio(bursts, BARE, of, byRate)?.median),
    reached: measured.median >= least ? 'yes' : 'no'
  }
}

/** One table of figures, one of goals, and all of it in a file. */
export function print ({ bursts, skipped, flags }) {
  const measured = Object.keys(bursts).filter((name) => bursts[name].length > 0)
  const all = measured.flatMap((name) => bursts[name])
  const goalRows = goals.map((goal) => goalRowOf(bursts, goal)).filter((row) => row !== undefined)
  const { node, cpu, cores } = machine()

  console.log(`\n${table(measured.map((name) => rowOf(bursts, name)))}`)
  if (goalRows.length > 0) console.log(`\n${table(goalRows)}`)
  console.log(`\nMedians of ${all.length / measured.length} rounds of ${flags.seconds} s, with quartiles; ratios are taken inside a round. ` +
    `${flags.connections} connections, tokens of ${flags.tokenLength} characters, seed ${flags.seed}, ` +
    `${flags.isPinned ? 'servers on core 0, load from core 1' : 'NOT PINNED'}. Node.js ${node}, ${cores} × ${cpu}.`)
  const share = (member) => measured.map((name) => spread(bursts[name].map((burst) => burst[member])).median)
  const [busy, load] = [Math.min(...share('serverShare')), Math.max(...share('loadShare'))]
  console.log(`The servers used at least ${digits(busy)} of their core, the load at most ${digits(load)} of its own.`)
  // A server that waits is not what was meant to be measured.
  if (load > 0.95 && !flags.awake) console.log('The load was the limit: throughput says little about the fastest servers.')
  else if (busy < 0.85) console.log('Others worked on these cores, which spares slow servers: trust the CPU columns more than throughput, or wait for a quieter hour.')
  for (const [name, reason] of Object.entries(skipped)) console.log(`Left out: ${name} (${reason})`)
  console.log(`All figures: ${save('guard', { flags, skipped, bursts })}`)
}

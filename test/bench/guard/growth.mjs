import { parseArgs } from 'node:util'
import { startProcess } from './process.mjs'
import { digits, save, table, withSpread } from './report.mjs'
import { randomFrom, shuffled, spread } from './statistics.mjs'

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    sizes: { type: 'string', default: '1e3,1e4,1e5,1e6' },
    seed: { type: 'string', default: String(Date.now() % 1e6) },
    nice: { type: 'string' }
  }
})
const sizes = flags.sizes.split(',').map(Number)
const nice = flags.nice === undefined ? undefined : Number(flags.nice)
const random = randomFrom(Number(flags.seed))

/** What is measured at each size, and what it is called. */
const measures = {
  look: 'look-up, CPU ns',
  lookP99: 'look-up, p99 ns',
  seen: 'guard, CPU ns',
  seenP99: 'guard, p99 ns',
  unseen: 'guard, unseen token, CPU ns',
  unseenP99: 'guard, unseen token, p99 ns'
}

const stores = []
const rounds = []
try {
  for (const size of sizes) {
    const child = startProcess('growth-store.mjs', { core: 0, nice, flags: ['--expose-gc', '--max-old-space-size=8192'] })
    stores.push({ size, child })
    Object.assign(stores.at(-1), await child.ask('open', { size }))
  }
  // The first rounds are for the compiler.
  for (let round = -2; round < Number(flags.rounds); round++) {
    const figures = {}
    for (const { size, child } of shuffled(stores, random)) figures[size] = await child.ask('measure')
    if (round >= 0) rounds.push(figures)
  }
} finally {
  await Promise.all(stores.map(({ child }) => child.stop()))
}

const [base] = sizes
function cellOf (measure, size) {
  const { median } = spread(rounds.map((figures) => figures[size][measure]))
  const ratio = spread(rounds.map((figures) => figures[size][measure] / figures[base][measure]))
  return size === base ? digits(median, 0) : `${digits(median, 0)}, × ${withSpread(ratio)}`
}
function row (name, cellAt) {
  return { sessions: name, ...Object.fromEntries(stores.map((store) => [digits(store.size, 0), cellAt(store)])) }
}
console.log(`\n${table([
  row('bytes per session', ({ bytes }) => digits(bytes, 0)),
  ...Object.entries(measures).map(([measure, name]) => row(name, ({ size }) => cellOf(measure, size)))
])}`)
console.log(`\nMemory store, one process for each size. Medians of ${rounds.length} rounds, with quartiles; ratios to ${digits(base, 0)} sessions are taken inside a round. ` +
  `The guard checks one claim; p99 includes the clock. Seed ${flags.seed}. Node.js ${process.version}.`)
const results = { flags, bytes: Object.fromEntries(stores.map(({ size, bytes }) => [size, bytes])), rounds }
console.log(`All figures: ${save('growth', results)}`)

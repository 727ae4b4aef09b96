import * as crypto from 'node:crypto'
import { parseArgs } from 'node:util'
import jwt from '@fastify/jwt'
import { createVerifier } from 'fast-jwt'
import Fastify from 'fastify'
import { cpuOf, freshString, keptRequests, timeGuard } from './calls.mjs'
import { digits, save, table, withSpread } from './report.mjs'
import { guards, newKey, TOKENS } from './settings.mjs'
import { randomFrom, shuffled, spread } from './statistics.mjs'
import { createApp } from './targets/jwt-session.mjs'
import { tokenMaker } from './tokens.mjs'

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Date.now() % 1e6) }
  }
})
const BATCHES = 10
const BASE = 'fast-jwt verify'

/** Calls of anything that takes a token; nanoseconds a call. */
function timeCalls (call, tokens) {
  return cpuOf(() => { for (let index = 0; index < tokens.length; index++) call(tokens[index]) }) / tokens.length
}

/** What @fastify/jwt calls: its one verifier. */
async function jwtVerifyOf (algorithm, publicKey) {
  const app = Fastify()
  const secret = algorithm === 'HS256' ? publicKey : { public: publicKey }
  await app.register(jwt, { secret, verify: { algorithms: [algorithm] } })
  await app.ready()
  return (token) => app.jwt.verify(token)
}

/** What is timed with one algorithm: functions that answer nanoseconds a call. */
async function variantsOf (algorithm) {
  const key = newKey(algorithm)
  // Apart, so that tokens seen once do not push out those that go round.
  const [{ app, tokens }, other] = await Promise.all([1, 2].map(() => createApp({ algorithm, key, sessions: TOKENS })))
  const [seen, unseen] = await Promise.all([app, other.app].map((each) => keptRequests(each, TOKENS)))
  const makers = other.tokens.map((token) => tokenMaker(token, algorithm, key))

  const publicKey = algorithm === 'HS256' ? key : crypto.createPublicKey(key).export({ format: 'pem', type: 'spki' })
  const verify = createVerifier({ key: publicKey, algorithms: [algorithm] })
  const jwtVerify = await jwtVerifyOf(algorithm, publicKey)
  const hash = crypto.hash ?? ((name, text, encoding) => crypto.createHash(name).update(text).digest(encoding))

  const variants = {
    [BASE]: () => timeCalls(verify, tokens.map(freshString)),
    '@fastify/jwt, jwt.verify': () => timeCalls(jwtVerify, tokens.map(freshString)),
    'sha256 of the token': () => timeCalls((token) => hash('sha256', token, 'base64url'), tokens.map(freshString))
  }
  for (const [name, guardOf] of Object.entries(guards)) {
    const [guard, otherGuard] = [guardOf(app), guardOf(other.app)]
    variants[name] = () => {
      seen.carry(tokens)
      return timeGuard(guard, seen.kept)
    }
    variants[`${name}, unseen`] = () => {
      unseen.carry(makers.map((make) => make()))
      return timeGuard(otherGuard, unseen.kept)
    }
  }
  return { variants, close: () => Promise.all([app.close(), other.app.close()]) }
}

const random = randomFrom(Number(flags.seed))
const rounds = Number(flags.rounds)
const results = {}
const skipped = {}
for (const algorithm of ['HS256', 'ES256', 'EdDSA']) {
  let opened
  try {
    opened = await variantsOf(algorithm)
  } catch (error) {
    skipped[algorithm] = error.message.split('. ')[0]
    continue
  }
  const times = Object.fromEntries(Object.keys(opened.variants).map((name) => [name, []]))
  // The first rounds are for the compiler.
  for (let round = -3; round < rounds; round++) {
    for (const [name, variant] of shuffled(Object.entries(opened.variants), random)) {
      // Not the mean: a batch with a collection of garbage counts no more than any other.
      const { median } = spread(Array.from({ length: BATCHES }, variant))
      if (round >= 0) times[name].push(median)
    }
  }
  results[algorithm] = times
  await opened.close()
}

const rows = Object.entries(results).flatMap(([algorithm, times]) => Object.entries(times).map(([name, values]) => ({
  call: `${name}, ${algorithm}`,
  ns: digits(spread(values).median, 0),
  [`of ${BASE}`]: withSpread(spread(values.map((value, round) => value / times[BASE][round])))
})))
console.log(`\n${table(rows)}`)
console.log(`\nMedians of ${rounds} rounds of ${BATCHES * TOKENS} calls, with quartiles; ratios are taken inside a round. Seed ${flags.seed}. Node.js ${process.version}.`)
for (const [name, reason] of Object.entries(skipped)) console.log(`Left out: ${name} (${reason})`)
console.log(`All figures: ${save('hot', { flags, skipped, results })}`)

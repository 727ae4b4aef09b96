import { createSecretKey, type KeyObject } from 'node:crypto'
import type { FastifyInstance, InjectOptions } from 'fastify'
import type { Test } from 'tap'
import type { TokenAnswer, TokenLocation } from '../../lib'
import { createKeyRing } from '../../lib/key-ring'
import { readOptions } from '../../lib/options'
import { tokenMemory } from '../../lib/token-memory'
import { createTokens, type TokenKind } from '../../lib/tokens'
import { buildApp, lookupIn, makeUsers, type TestUser } from '../support/app'
import { stopClock } from '../support/clock'
import { faultsOf, leaksIn, spellingsOf, type Heard } from '../support/conduct'
import { parse } from '../support/forge'
import { forgeriesOf, type Signer } from '../support/forgeries'
import { makeKey } from '../support/keys'
import type { Rules } from './reference'
import type { AccessTokenClaims } from '../../types'

export const PASSWORD = 'builder-of-bridges'

/** One application, and a session of alice that outlives all that is sent. */
export interface Site {
  readonly app: FastifyInstance
  readonly locations: readonly TokenLocation[]
  readonly signer: Signer
  readonly rules: Rules
  readonly tokens: TokenAnswer
  readonly claims: Readonly<Record<string, unknown>>
  /** Hostile access tokens and refresh tokens, to begin with. */
  readonly corpus: readonly string[]
  readonly refreshCorpus: readonly string[]
  /** An answer, and what is wrong with it, whatever it should be, and with what was logged meanwhile. */
  ask (options: InjectOptions, sent?: string): Promise<{ answer: Heard, faults: string[] }>
}

/** Verified tokens, and how often a signature was really looked at. */
export interface Memory {
  readonly kind: TokenKind<AccessTokenClaims>
  readonly asked: () => number
}

/** How many answers there were of each status. */
export type Tally = Map<number, number>

export interface World {
  readonly sites: readonly Site[]
  /** Of the first site. */
  readonly memory: Memory
}

const STRANGER = makeKey('RS256', 'stranger').publicKey as KeyObject

const PLANS = [
  { algorithm: 'HS256', locations: ['header'] }, { algorithm: 'EdDSA', locations: ['cookie'] }, { algorithm: 'ES256', locations: ['header', 'cookie'] }
] as const

/** Applications in a moment that lasts, so that no token expires between two looks at the clock. */
export async function worldOf (t: Pick<Test, 'teardown'>, tally: Tally): Promise<World> {
  const now = stopClock(t as Test).now()
  const sites = await Promise.all(PLANS.map(async ({ algorithm, locations }) => await siteOf(t, algorithm, locations, now, tally)))
  return { sites, memory: await memoryOf(sites[0] as Site) }
}

async function siteOf (t: Pick<Test, 'teardown'>, algorithm: Rules['algorithm'], locations: readonly TokenLocation[], now: number, tally: Tally): Promise<Site> {
  const { option, signs, publicKey } = makeKey(algorithm, `${algorithm}-1`)
  const users = makeUsers()
  users.set('bob', { id: 'user-bob', roles: [], passwordHash: `plain:${PASSWORD}` })
  const lines: string[] = []
  const secrets = ['wonderland', 'plain:', 'builder-of', 'of-bridges', ...spellingsOf(signs)]
  const { app } = await buildApp(t, {
    secret: undefined,
    keys: [option, { ...makeKey('EdDSA', 'other').option, use: 'verify' }],
    locations,
    rotation: 'strict',
    throttle: false,
    userLookup: { ...lookupIn(users), create: () => null },
    routes: { register: true, sessions: true }
  }, { logger: { level: 'trace', stream: { write (line: string) { lines.push(line) } } } })
  await app.ready()

  const tokens = await app.jwtSession.login(users.get('alice') as TestUser)
  for (const token of [tokens.access_token, tokens.refresh_token]) secrets.push(...parse(token).parts.slice(1))
  if (tokens.csrf_token !== undefined) secrets.push(tokens.csrf_token)
  const signer = { algorithm, signs, publicKey }
  const corpusOf = (token: string): string[] => Object.values(forgeriesOf(token, signer, STRANGER)).flat()
  return {
    app,
    locations,
    signer,
    rules: { algorithm, key: publicKey ?? createSecretKey(signs.export() as Buffer), kid: option.kid, now },
    tokens,
    claims: parse(tokens.access_token).claims,
    corpus: [...corpusOf(tokens.access_token), tokens.refresh_token],
    refreshCorpus: [...corpusOf(tokens.refresh_token), tokens.access_token],
    async ask (options, sent) {
      const { statusCode: status, headers, body } = await app.inject(options)
      const answer = { status, headers, body }
      tally.set(status, (tally.get(status) ?? 0) + 1)
      const faults = status >= 400 ? faultsOf(answer, secrets, sent) : []
      const log = lines.splice(0).join('\n')
      const leak = leaksIn(log, secrets) ?? sent?.split(/[.;,= ]/).find((part) => part.length >= 12 && log.includes(part))
      return { answer, faults: leak === undefined ? faults : [...faults, `logs ${leak}`] }
    }
  }
}

async function memoryOf ({ signer: { signs }, tokens, rules }: Site): Promise<Memory> {
  const settings = readOptions({ keys: [{ kid: rules.kid, algorithm: 'HS256', secret: signs.export() as Buffer }], userLookup: lookupIn(makeUsers()) })
  const { access } = createTokens(createKeyRing({ ...settings.keys, header: settings.header }), settings.tokens)
  let asked = 0
  const kind = tokenMemory({ ...access, verify (token, now) { asked++; return access.verify(token, now) } }, 2, 0)
  // A token that comes again is kept by chance.
  for (let sighting = 0; sighting < 60; sighting++) kind.verify(tokens.access_token, rules.now)
  asked = 0
  return { kind, asked: () => asked }
}

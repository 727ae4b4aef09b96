import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { optionInvalid } from '../errors'
import { boundedQueue, type QueueOptions } from './queue'
import type { Passwords } from '../../types'

/** How `scryptPasswords` hashes. */
export interface ScryptOptions extends QueueOptions {
  /** The binary logarithm of N (RFC 7914), 14 to 18. It decides on the memory: 2^cost KiB for each thread. Default: 15. */
  readonly cost?: number
  /** The parallelization p (RFC 7914), which multiplies the time: 1 to 16. Default: 3. */
  readonly parallelization?: number
  /**
   * What verifies all other hashes that are stored. Every login then takes the work of both, so that the time does not tell
   * whose hash is an old one. Leave it out again when none is left.
   */
  readonly also?: Passwords
}

const SCRYPT = /^\$scrypt\$ln=([1-9]|1[0-8]),r=8,p=([1-9]|1[0-6])\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$/
const KEY_BYTES = 32
const BLOCK_SIZE = 8

/** Node's own threads for this, of which files and names need some too. */
const MOST_THREADS = 3

/** More than `POST /login` takes. */
const LONGEST = 1024

const derive = promisify<string, Buffer, number, { N: number, r: number, p: number, maxmem: number }, Buffer>(scrypt)

/**
 * Passwords in scrypt (RFC 7914), of `node:crypto`, which hashes in threads of its own. Hashes read
 * `$scrypt$ln=15,r=8,p=3$salt$key`.
 * @throws `OPTION_INVALID`.
 * @example
 * ```ts
 * import jwtSession, { bcryptPasswords, scryptPasswords } from 'fastify-jwt-session'
 *
 * // New hashes are of scrypt; those of bcrypt, from before, are still good for a login.
 * await app.register(jwtSession, { ...options, passwords: scryptPasswords({ also: bcryptPasswords() }) })
 * ```
 */
export function scryptPasswords ({ cost = 15, parallelization = 3, also, ...limits }: ScryptOptions = {}): Required<Passwords> {
  for (const [name, value, least, most] of [['cost', cost, 14, 18], ['parallelization', parallelization, 1, 16]] as const) {
    if (!Number.isInteger(value) || value < least || value > most) {
      throw optionInvalid(`scryptPasswords({ ${name} })`, `has to be a whole number from ${least} to ${most}`, 'Leave it out for the default')
    }
  }
  const queue = boundedQueue('scryptPasswords', limits, MOST_THREADS)

  /** Whether a password fits a hash, with the work of the parameters in use at least. */
  async function compare (password: string, [ln, p, salt, key]: Parsed): Promise<boolean> {
    const isRight = timingSafeEqual(await work(password, salt, ln, p), key)
    // What a hash of less work lacks: first other lanes, then twice the work of each cost before.
    if (p < parallelization) await work(password, salt, ln, parallelization - p)
    for (let spent = ln; spent < cost; spent++) await work(password, salt, spent, parallelization)
    return isRight
  }

  return {
    async hash (password, { signal } = {}) {
      if (!isReadable(password)) throw new RangeError('A password has at most 1024 characters, all of them Unicode, and no NUL')
      const salt = randomBytes(16)
      const key = await queue.run(() => work(password, salt, cost, parallelization), signal)
      return `$scrypt$ln=${cost},r=${BLOCK_SIZE},p=${parallelization}$${encode(salt)}$${encode(key)}`
    },

    async verify (password, passwordHash, { signal } = {}) {
      const parsed = isReadable(password) ? parse(passwordHash) : undefined
      const decoy: Parsed = [cost, parallelization, Buffer.alloc(16), Buffer.alloc(KEY_BYTES)]
      const isRight = await queue.run(() => compare(password, parsed ?? decoy), signal) && parsed !== undefined
      return await also?.verify(password, passwordHash, { signal }) === true || isRight
    },

    needsRehash (passwordHash) {
      const [ln, p] = parse(passwordHash) ?? [0, 0]
      return 2 ** ln * p < 2 ** cost * parallelization
    },

    close: async () => await also?.close?.()
  }
}

type Parsed = readonly [ln: number, p: number, salt: Buffer, key: Buffer]

function parse (passwordHash: string): Parsed | undefined {
  const [, ln, p, salt, key] = SCRYPT.exec(passwordHash) ?? []
  return ln === undefined ? undefined : [Number(ln), Number(p), Buffer.from(salt as string, 'base64'), Buffer.from(key as string, 'base64')]
}

function work (password: string, salt: Buffer, ln: number, p: number): Promise<Buffer> {
  const N = 2 ** ln
  return derive(password, salt, KEY_BYTES, { N, r: BLOCK_SIZE, p, maxmem: 256 * BLOCK_SIZE * (N + p) })
}

function encode (bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '')
}

/** Whether no other password has the same bytes, and `POST /login` would take it. */
function isReadable (password: string): boolean {
  return password.length <= LONGEST && !/[\0\p{Cs}]/u.test(password)
}

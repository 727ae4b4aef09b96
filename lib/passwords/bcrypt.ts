import { extname, join } from 'node:path'
import { truncates } from 'bcryptjs'
import { optionInvalid } from '../errors'
import { unmatched } from './bcrypt-worker'
import { boundedQueue, type QueueOptions } from './queue'
import { workerThreads } from './threads'
import type { Passwords } from '../../types'

/** Costs above would keep a thread busy for minutes. */
const BCRYPT = /^\$2[aby]\$(0[4-9]|1\d)\$[./A-Za-z0-9]{53}$/

/** How `bcryptPasswords` hashes. */
export interface BcryptOptions extends QueueOptions {
  /** The binary logarithm of the rounds, 8 to 15. The work for an unknown user is done at this cost. Default: 10. */
  readonly cost?: number
}

/**
 * Passwords in bcrypt, hashed in threads beside the main one, by default as many as there are cores. Reads hashes of any cost
 * up to 19 that begin with `$2a$`, `$2b$` or `$2y$`; those of a lower cost than `cost` take the work of `cost` and are to be
 * made anew.
 *
 * bcrypt reads 72 bytes; a longer password, and one that holds a NUL, is refused instead of being cut.
 * @throws `OPTION_INVALID`.
 * @example
 * ```ts
 * import jwtSession, { bcryptPasswords } from 'fastify-jwt-session'
 *
 * const passwords = bcryptPasswords({ cost: 12, threads: 2 })
 * await app.register(jwtSession, { ...options, passwords })
 * const passwordHash = await passwords.hash('correct horse battery staple') // what userLookup is to return
 * ```
 */
export function bcryptPasswords ({ cost = 10, ...limits }: BcryptOptions = {}): Required<Passwords> {
  if (!Number.isInteger(cost) || cost < 8 || cost > 15) {
    throw optionInvalid('bcryptPasswords({ cost })', 'has to be a whole number from 8 to 15', 'Leave it out for 10')
  }
  const queue = boundedQueue('bcryptPasswords', limits)
  const threads = workerThreads(join(__dirname, `bcrypt-worker${extname(__filename)}`), queue.threads)

  return {
    async hash (password, { signal } = {}) {
      if (!isReadable(password)) throw new RangeError('bcrypt reads at most 72 bytes of UTF-8, and no NUL')
      return await queue.run(() => threads.run<string>('hash', { password, cost }), signal)
    },

    async verify (password, passwordHash, { signal } = {}) {
      const isSound = isReadable(password) && BCRYPT.test(passwordHash)
      const task = { password, cost, passwordHash: isSound ? passwordHash : unmatched(cost) }
      return await queue.run(() => threads.run<boolean>('verify', task), signal) && isSound
    },

    needsRehash (passwordHash) {
      const [, spent] = BCRYPT.exec(passwordHash) ?? []
      return spent === undefined || Number(spent) < cost
    },

    close: threads.close
  }
}

/** Whether bcrypt would read a password to its end. */
function isReadable (password: string): boolean {
  return !truncates(password) && !password.includes('\0')
}

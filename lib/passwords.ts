import { compare, hash, truncates } from 'bcryptjs'
import { optionInvalid } from './errors'
import type { Passwords } from '../types'

const BCRYPT = /^\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$/

/**
 * Passwords in bcrypt. Reads hashes of any cost that begin with `$2a$`, `$2b$` or `$2y$`.
 *
 * bcrypt reads 72 bytes; a longer password, and one that holds a NUL, is refused instead of being cut.
 * @param options.cost the binary logarithm of the rounds, 8 to 15. Make it what your table holds: the work for an unknown user
 * is done at this cost. Default 10.
 * @throws `OPTION_INVALID` for another cost.
 */
export function bcryptPasswords ({ cost = 10 }: { cost?: number } = {}): Passwords {
  if (!Number.isInteger(cost) || cost < 8 || cost > 15) {
    throw optionInvalid('bcryptPasswords({ cost })', 'has to be a whole number from 8 to 15', 'Leave it out for 10')
  }
  // Well formed and made by no password, so that a malformed hash costs the work of a sound one.
  const unmatched = `$2b$${String(cost).padStart(2, '0')}$${'.'.repeat(53)}`

  return {
    async hash (password) {
      if (!isReadable(password)) throw new RangeError('bcrypt reads at most 72 bytes of UTF-8, and no NUL')
      return await hash(password, cost)
    },

    async verify (password, passwordHash) {
      const isSound = isReadable(password) && BCRYPT.test(passwordHash)
      return await compare(password, isSound ? passwordHash : unmatched) && isSound
    }
  }
}

/** Whether bcrypt would read a password to its end. */
function isReadable (password: string): boolean {
  return !truncates(password) && !password.includes('\0')
}

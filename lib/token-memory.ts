import type { TokenKind, Verified } from './tokens'

/** What is remembered may take this many characters of tokens for each token that may be remembered. */
const AVERAGE_LENGTH = 1024

/** One in so many is taken in when the memory is full, so that more tokens than it holds do not chase each other out. */
const ADMISSION = 17

/** The end of the signature, which is enough to find a token by: it has as many random bits as a session's id. */
const SUFFIX = 22

interface Entry<Claims> {
  readonly token: string
  readonly verified: Verified<Claims>
  /** When it was found to be valid already: should the clock go back, that is open again. */
  readonly since: number
}

export interface TokenMemory<Claims> extends TokenKind<Claims> {
  /** Forgets every token: to be called when a key goes. */
  clear (): void
}

/**
 * Remembers which tokens verified, so that a signature is checked once and not at every request. Nothing but the signature and
 * the form is taken for granted: whoever asks still judges the expiry and the session. What was refused is never remembered, so nobody
 * without a key can push anything out.
 *
 * Found by the end of the signature, because that is short, and compared as a whole: anything less mixes users up.
 * @param limit how many tokens are remembered.
 */
export function tokenMemory<Claims extends { readonly exp: number }> (
  kind: TokenKind<Claims>, limit: number, tolerance: number
): TokenMemory<Claims> {
  const known = new Map<string, Entry<Claims>>()
  const room = limit * AVERAGE_LENGTH
  let length = 0
  let newcomers = 0

  function forget (key: string, { token }: Entry<Claims>): void {
    known.delete(key)
    length -= token.length
  }

  function remember (key: string, entry: Entry<Claims>): void {
    const { token } = entry
    if (known.has(key)) return
    const isFull = known.size >= limit || length + token.length > room
    if (isFull && ++newcomers % ADMISSION !== 0) return
    known.set(key, entry)
    length += token.length
    for (const [oldestKey, oldest] of known) {
      if (known.size <= limit && length <= room) break
      forget(oldestKey, oldest)
    }
  }

  return {
    sign: kind.sign,

    clear () {
      known.clear()
      length = 0
    },

    verify (token, now) {
      const key = token.slice(-SUFFIX)
      const entry = known.get(key)
      if (entry !== undefined && entry.token === token) {
        const { verified, since } = entry
        const hasExpired = verified.claims.exp + tolerance <= now
        if (hasExpired || now < since) forget(key, entry)
        if (now >= since) return verified
      }
      const verified = kind.verify(token, now)
      if (verified !== undefined && verified.claims.exp + tolerance > now) remember(key, { token, verified, since: now })
      return verified
    }
  }
}

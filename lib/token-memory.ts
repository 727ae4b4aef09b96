import { evict, KEPT } from './eviction'
import type { TokenKind, Verified } from './tokens'

/** What is remembered may take this many characters of tokens for each token that may be remembered. */
const AVERAGE_LENGTH = 1024

/** When the memory is full, one in so many comes in, so that more tokens than it holds do not chase each other out. */
const ADMISSION = 17

/** Places to note for each token that may be remembered, so that few share one. */
const PLACES = 4

/** So many letters of the end of the signature make the number that a token is found by: more bits than it has, that nobody chooses. */
const SUFFIX = 8

interface Entry<Claims> extends Verified<Claims> {
  readonly token: string
  /** When it was found to be valid already: should the clock go back, that is open again. */
  readonly since: number
}

export interface TokenMemory<Claims> extends TokenKind<Claims> {
  /** How many tokens are remembered. */
  count (): number
  /** Forgets every token: to be called when a key goes. */
  clear (): void
}

/**
 * Remembers which tokens verified, so that a signature is not checked at every request. Nothing but the signature and
 * the form is taken for granted: whoever asks still judges the expiry and the session. What was refused is never remembered, so nobody
 * without a key can push anything out.
 *
 * A token is kept when it comes again: keeping costs as much as verifying, and not every token does. Of its first time no more
 * is noted than a number, in a place that others may take.
 *
 * Found by the end of the signature, because that is short, and compared as a whole: anything less mixes users up.
 * @param limit how many tokens are remembered.
 */
export function tokenMemory<Claims extends { readonly exp: number }> (
  kind: TokenKind<Claims>, limit: number, tolerance: number
): TokenMemory<Claims> {
  const known = new Map<number, Entry<Claims>>()
  const room = limit * AVERAGE_LENGTH
  const [keptCount, keptRoom] = [Math.ceil(limit * KEPT), room * KEPT]
  const glimpses = new Int32Array(2 ** Math.ceil(Math.log2(PLACES * limit)))
  let length = 0
  let newcomers = 0

  /** What eviction leaves counts as full: else as many as it removed would come in unasked, and chase others out. */
  const isFull = (count: number, characters: number): boolean => count > keptCount || characters > keptRoom

  function forget (key: number): void {
    length -= (known.get(key) as Entry<Claims>).token.length
    known.delete(key)
  }

  function remember (key: number, text: string, { header, claims, session }: Verified<Claims>, now: number): void {
    if (known.has(key)) return
    if (isFull(known.size + 1, length + text.length) && ++newcomers % ADMISSION !== 0) return
    // A copy: a slice of a header would keep all of that alive, other cookies and all.
    const token = Buffer.from(text, 'latin1').toString('latin1')
    // Nothing becomes valid within a second, and a fraction would lie in a place of its own.
    const since = Number.isInteger(tolerance) ? Math.floor(now) : now
    // Not by spreading, which makes objects that are slow to read.
    known.set(key, { header, claims, session, seat: undefined, auth: undefined, token, since })
    length += token.length
    if (known.size > limit || length > room) evict(known, () => isFull(known.size, length), forget)
  }

  /** Whether a token with this key came lately. If another one left it, this one is kept a request early. */
  function isKnownBySight (key: number): boolean {
    const place = key & (glimpses.length - 1)
    if (glimpses[place] === key) return true
    // By chance, or two tokens in turn would take the place from each other for ever.
    if (Math.random() < 0.75) glimpses[place] = key
    return false
  }

  return {
    sign: kind.sign,
    count: () => known.size,

    clear () {
      known.clear()
      length = 0
    },

    verify (token, now) {
      const key = keyOf(token)
      const entry = known.get(key)
      if (entry !== undefined && entry.token === token) {
        const hasExpired = entry.claims.exp + tolerance <= now
        if (hasExpired || now < entry.since) forget(key)
        if (now >= entry.since) return entry
      }
      const verified = kind.verify(token, now)
      if (verified !== undefined && verified.claims.exp + tolerance > now && isKnownBySight(key)) remember(key, token, verified, now)
      return verified
    }
  }
}

function keyOf (token: string): number {
  let key = 0
  for (let index = token.length - SUFFIX; index < token.length; index++) key = (Math.imul(key, 31) + token.charCodeAt(index)) | 0
  return key
}

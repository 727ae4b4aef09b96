import { endOf } from './record'
import type { SessionRecord } from '../types'

/** How long a used refresh token is taken for a repetition, and for a lost answer, in seconds. */
export interface Intervals {
  readonly reuse: number
  readonly recovery: number
}

export const INTERVALS: Readonly<Record<'strict' | 'tolerant', Intervals>> = {
  strict: { reuse: 0, recovery: 0 },
  tolerant: { reuse: 10, recovery: 3600 }
}

/** What is to be done with a refresh token of generation `presented`. */
export type Verdict =
  | { readonly action: 'refuse', readonly reason: 'revoked' | 'expired' }
  /** It was used before, by somebody else: the session has to end. */
  | { readonly action: 'revoke' }
  /** Tokens of the current generation, once more. `seen`: the client proves that it has them already. */
  | { readonly action: 'repeat', readonly recovered: boolean, readonly seen: boolean }
  /** Tokens of generation `to`. `regressed`: the store knew less than the token. */
  | { readonly action: 'rotate', readonly to: number, readonly regressed: boolean }

/**
 * The policy of rotation (RFC 9700 section 4.14.2): a pure function.
 * @param overlapped whether this very request has read `presented` as the current generation before it lost its write.
 */
export function decide (record: SessionRecord, presented: number, overlapped: boolean, now: number, intervals: Intervals): Verdict {
  const reason = endOf(record, now)
  if (reason !== undefined) return { action: 'refuse', reason }

  const { generation, rotatedAt, seen } = record.state
  // Another node's clock may be ahead of ours; time never runs backwards in here.
  const age = Math.max(0, now - rotatedAt)

  if (presented > generation) return { action: 'rotate', to: presented + 1, regressed: true }
  if (presented === generation) {
    return age >= intervals.reuse
      ? { action: 'rotate', to: generation + 1, regressed: false }
      : { action: 'repeat', recovered: false, seen: true }
  }
  if (overlapped) return { action: 'repeat', recovered: false, seen: false }
  if (presented === generation - 1) {
    if (age < intervals.reuse) return { action: 'repeat', recovered: false, seen: false }
    if (age < intervals.recovery && !seen) return { action: 'repeat', recovered: true, seen: false }
  }
  return { action: 'revoke' }
}

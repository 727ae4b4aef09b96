import { optionInvalid } from './errors'
import type { Duration } from '../types'

const UNITS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, y: 31_536_000 }
const DURATION = /^(\d{1,9})(ms|[smhdwy])$/

/** A duration in seconds, within bounds that are given as durations themselves. */
export function readDuration (option: string, value: Duration, least: Duration, most: Duration): number {
  const seconds = secondsOf(value)
  if (seconds === undefined || seconds < (secondsOf(least) as number) || seconds > (secondsOf(most) as number)) {
    throw optionInvalid(option, `is not a duration from ${least} to ${most}`, "Give seconds, or a string like '15m' (ms, s, m, h, d, w, y)")
  }
  return seconds
}

function secondsOf (value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined
  const [, count, unit] = (typeof value === 'string' && DURATION.exec(value)) || []
  return count === undefined ? undefined : Number(count) * (UNITS[unit as string] as number)
}

export function readBoolean (option: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw optionInvalid(option, 'is not a boolean', 'Give true or false')
  return value
}

/** Whether guards find the user. */
export function readLoadUser (option: string, value: unknown): boolean | 'lazy' | undefined {
  if (value !== undefined && typeof value !== 'boolean' && value !== 'lazy') throw optionInvalid(option, "is neither a boolean nor 'lazy'", 'Give one of these')
  return value
}

/** Refuses members that nothing reads: most are typing errors, and the default would be in force unseen. */
export function refuseUnknown (option: string, value: unknown, known: readonly string[]): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw optionInvalid(option, 'is not an object', `Give an object with ${known.join(', ')}`)
  }
  const unknown = Object.keys(value).find((name) => !known.includes(name))
  if (unknown !== undefined) throw optionInvalid(`${option}.${unknown}`, 'does not exist', `There are ${known.join(', ')}`)
}

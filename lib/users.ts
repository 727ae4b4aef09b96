import { optionInvalid, sessionError } from './errors'
import type { Awaitable, SessionUser } from '../types'

/** Waits for the application's user lookup; failing to answer is the same to a client as a store that fails. */
export async function lookUp<Found extends object = SessionUser> (ask: () => Awaitable<Found | null | undefined>): Promise<Found | undefined> {
  let user: Found | null | undefined
  try {
    user = await ask()
  } catch (cause) {
    throw sessionError('STORE_UNAVAILABLE', { cause })
  }
  return user ?? undefined
}

/** The subject of a user. */
export function subjectOf ({ id }: SessionUser): string {
  if (typeof id !== 'string' || id === '' || id.length > 256) {
    throw optionInvalid('userLookup', 'returned a user whose id is not a string of 1 to 256 characters', 'Return String(id)')
  }
  return id
}

/** Whether a user who was let in a moment ago still is who was let in. */
export function isUnchanged (before: SessionUser, now: SessionUser | undefined): boolean {
  return now !== undefined && !now.disabled && now.passwordHash === before.passwordHash
}

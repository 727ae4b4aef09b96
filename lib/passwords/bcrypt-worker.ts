import { compareSync, getRounds, hashSync } from 'bcryptjs'

/** What a thread is given. */
export interface Task {
  readonly password: string
  readonly cost: number
}

/** Runs in a thread: makes a hash. */
export function hash ({ password, cost }: Task): string {
  return hashSync(password, cost)
}

/** Runs in a thread: compares a password with a well-formed hash, with the work of `cost` at least. */
export function verify ({ password, cost, passwordHash }: Task & { readonly passwordHash: string }): boolean {
  const isRight = compareSync(password, passwordHash)
  // Each cost is twice the work of the one before, so that all from the hash's own make up for what it lacks.
  for (let spent = getRounds(passwordHash); spent < cost; spent++) compareSync(password, unmatched(spent))
  return isRight
}

/** A hash that is well formed and was made by no password. */
export function unmatched (cost: number): string {
  return `$2b$${String(cost).padStart(2, '0')}$${'.'.repeat(53)}`
}

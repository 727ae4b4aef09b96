/** A deeply frozen copy of a JSON value. What JSON cannot say is gone from it, exactly as it would be from a token. */
export function frozenCopy<T> (value: T): T {
  return freezeDeep(JSON.parse(JSON.stringify(value)) as T)
}

/** Freezes a JSON value and all that it holds. */
export function freezeDeep<T> (value: T): T {
  // A stack of our own: a signed token may nest deeper than calls may.
  const open: unknown[] = [value]
  while (open.length > 0) {
    const next = open.pop()
    if (typeof next !== 'object' || next === null) continue
    Object.freeze(next)
    for (const member of Array.isArray(next) ? next : Object.values(next)) {
      if (typeof member === 'object') open.push(member)
    }
  }
  return value
}

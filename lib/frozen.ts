/** A deeply frozen copy of a JSON value. What JSON cannot say is gone from it, exactly as it would be from a token. */
export function frozenCopy<T> (value: T): T {
  return freezeDeep(JSON.parse(JSON.stringify(value)) as T)
}

/** Freezes a JSON value and all that it holds. */
export function freezeDeep<T> (value: T): T {
  // A stack of our own: a signed token may nest deeper than calls may.
  const open: unknown[] = [value]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const name in next as object) {
      const member = (next as Record<string, unknown>)[name]
      if (typeof member === 'object' && member !== null) open.push(member)
    }
    Object.freeze(next)
  }
  return value
}

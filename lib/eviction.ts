/**
 * Takes the oldest keys out of a map as long as there is too much, and a sixteenth of `limit` besides: what is removed leaves holes
 * in a map, and the next search for the oldest walks over all of them, so it must not come soon.
 */
export function evict<Key> (map: ReadonlyMap<Key, unknown>, limit: number, isTooMuch: () => boolean, remove: (key: Key) => void): void {
  let spare = Math.floor(limit / 16)
  for (const key of map.keys()) {
    if (!isTooMuch() && spare-- <= 0) return
    remove(key)
  }
}

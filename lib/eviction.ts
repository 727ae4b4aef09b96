/**
 * How much of a full map stays. What is removed leaves holes in a map, and the next search for the oldest walks over all of them, so it
 * must not come soon.
 */
export const KEPT = 15 / 16

/** Takes the oldest keys out of a map as long as there is too much. */
export function evict<Key> (map: ReadonlyMap<Key, unknown>, isTooMuch: () => boolean, remove: (key: Key) => void): void {
  for (const key of map.keys()) {
    if (!isTooMuch()) return
    remove(key)
  }
}

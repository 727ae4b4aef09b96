/** The time in epoch seconds, with a fraction. */
export function now (): number {
  return Date.now() / 1000
}

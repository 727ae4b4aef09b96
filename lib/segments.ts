import { isUtf8 } from 'node:buffer'

/** The letters that a segment may end with, by how many there are beyond groups of four. */
const LAST = [null, '', 'AQgw', 'AEIMQUYcgkosw048'] as const

/** Whether text is base64url in its one canonical spelling: no padding, no spare bits (RFC 4648 section 3.5). */
export function isSegment (text: string): boolean {
  const last = LAST[text.length % 4]
  return /^[\w-]*$/.test(text) && (last == null || last.includes(text.at(-1) as string))
}

/** The JSON object in a segment of a token; undefined when there is none. */
export function parseSegment (segment: string): Record<string, unknown> | undefined {
  const bytes = Buffer.from(segment, 'base64url')
  if (!isSegment(segment) || !isUtf8(bytes)) return undefined
  try {
    const value: unknown = JSON.parse(bytes.toString())
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Record<string, unknown> : undefined
  } catch {
    // It is not JSON, then.
    return undefined
  }
}

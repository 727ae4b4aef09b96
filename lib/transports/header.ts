import { sessionError } from '../errors'
import type { Transport } from '../../types'

const NAME = 'authorization'

/** Access tokens in the `Authorization` header (RFC 6750 section 2.1), refresh tokens in the body, answers in the body. */
export const headerTransport: Transport = {
  location: 'header',

  accessToken ({ headers, raw }) {
    const value = headers.authorization
    if (value === undefined) return undefined
    // Node drops all but the first, in silence; whoever is in front of it may have looked at another.
    if (isRepeated(raw.rawHeaders)) throw sessionError('REQUEST_INVALID', { token: true })
    // Another scheme is not ours to judge. What only begins like ours is a bad token, and not an absent one.
    if (value.slice(0, 6).toLowerCase() !== 'bearer') return undefined
    return value[6] === ' ' ? value.slice(7) : ''
  },

  refreshToken ({ body }) {
    return (body as { refresh_token?: string } | null | undefined)?.refresh_token
  },

  deliver: (_reply, answer) => answer
}

function isRepeated (rawHeaders: readonly string[]): boolean {
  let count = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string
    if (name.length === NAME.length && name.toLowerCase() === NAME) count++
  }
  return count > 1
}

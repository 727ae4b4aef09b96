import { sessionError } from '../errors'
import type { GuardRequest } from '../../types'

const NAME = 'access_token'

/** Finds the access token in the query (RFC 6750 section 2.3, which discourages it) or in the body (section 2.2). */
export function parameterLocation (part: 'query' | 'body'): (request: GuardRequest) => string | undefined {
  return ({ [part]: members }) => {
    if (typeof members !== 'object' || members === null || !Object.hasOwn(members, NAME)) return undefined
    const token = (members as Record<string, unknown>)[NAME]
    if (typeof token !== 'string') throw sessionError('REQUEST_INVALID', { token: true })
    return token
  }
}

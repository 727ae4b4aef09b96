import { sessionError } from '../errors'
import type { GuardRequest } from '../../types'

/** Finds the access token in a header, behind one of the schemes (RFC 6750 section 2.1). */
export function headerLocation (name: string, schemes: readonly string[]): (request: GuardRequest) => string | undefined {
  // Longer ones first, as one may begin with another.
  const announced = schemes.filter((scheme) => scheme !== '').sort((one, other) => other.length - one.length)
  const isBare = announced.length < schemes.length

  return ({ headers, raw }) => {
    const value = headers[name]
    if (value === undefined) return undefined
    // Node drops all but the first, in silence; whoever is in front of it may have looked at another.
    if (typeof value !== 'string' || isRepeated(raw.rawHeaders, name)) throw sessionError('REQUEST_INVALID', { token: true })
    for (const scheme of announced) {
      // What only begins like a scheme of ours is a bad token, and not an absent one.
      if (isAlike(value.slice(0, scheme.length), scheme)) return value[scheme.length] === ' ' ? value.slice(scheme.length + 1) : ''
    }
    // Another scheme is not ours to judge.
    return isBare ? value : undefined
  }
}

function isRepeated (rawHeaders: readonly string[], wanted: string): boolean {
  let candidates = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if ((rawHeaders[index] as string).length === wanted.length) candidates++
  }
  // Lengths tell at most requests.
  return candidates > 1 && rawHeaders.filter((name, index) => index % 2 === 0 && isAlike(name, wanted)).length > 1
}

/** Whether two texts are the same but for case. */
function isAlike (text: string, wanted: string): boolean {
  return text === wanted || text.toLowerCase() === wanted.toLowerCase()
}

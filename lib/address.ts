import { isIPv4, isIPv6 } from 'node:net'

/** Prefixes under which IPv4 addresses are written as IPv6: mapped (RFC 4291) and translated (RFC 6052). */
const IPV4_WITHIN = ['0:0:0:0:0:ffff', '64:ff9b:0:0:0:0']

/**
 * What one party can be assumed to hold of the address space: an IPv4 address, or 64 bits of IPv6, within which a host may
 * change its address at will. What is no address stays as it is.
 */
export function networkOf (address: string): string {
  if (!isIPv6(address)) return address
  const groups = groupsOf(address.replace(/%.*$/, ''))
  if (IPV4_WITHIN.includes(groups.slice(0, 6).map((group) => group.toString(16)).join(':'))) {
    return groups.slice(6).flatMap((group) => [group >> 8, group & 255]).join('.')
  }
  return groups.slice(0, 4).map((group) => group.toString(16)).join(':')
}

/** The eight groups of an IPv6 address. */
function groupsOf (address: string): number[] {
  const [head = '', tail] = address.split('::').map((half) => half.split(':').flatMap(numbersOf))
  if (tail === undefined) return head as number[]
  return [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail] as number[]
}

function numbersOf (part: string): number[] {
  if (part === '') return []
  if (!isIPv4(part)) return [Number.parseInt(part, 16)]
  const [a, b, c, d] = part.split('.').map(Number) as [number, number, number, number]
  return [a * 256 + b, c * 256 + d]
}

import { createSecretKey, type KeyObject } from 'node:crypto'
import { sessionErrors } from '../../lib'

/** An answer, however it was got. */
export interface Heard {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

const PREFIX = 'FST_JWT_SESSION_'

/** What Fastify answers before the plugin is asked, and what Node cannot read: by status, the codes. */
const HOST_CODES: Readonly<Record<number, readonly (string | undefined)[]>> = {
  400: [undefined, 'FST_ERR_CTP_INVALID_CONTENT_LENGTH', 'FST_ERR_CTP_EMPTY_JSON_BODY', 'FST_ERR_CTP_INVALID_JSON_BODY', 'FST_ERR_BAD_URL'],
  404: [undefined],
  408: [undefined],
  413: ['FST_ERR_CTP_BODY_TOO_LARGE'],
  414: ['FST_ERR_MAX_URI_LENGTH'],
  415: ['FST_ERR_CTP_INVALID_MEDIA_TYPE'],
  431: [undefined]
}

/** What tells how an application is made. */
const TELLING = /\bat .+:\d+:\d+|node_modules|node:internal|\.[jt]s\b|"stack"|"cause"|"validation"|TypeError|RangeError|SyntaxError|FAST_JWT|FST_JWT_(?!SESSION_)|\$2[aby]\$|passwordHash|BEGIN /

/** The beginning of a segment of a token, which is that of a JSON object. */
const TOKEN = /eyJ[\w-]{10,}/

/** Parts of secrets that no text may hold. */
export type Secrets = readonly string[]

/** What is wrong with a refusal, whatever was asked: nothing, if all is well. `sent` is what may not come back. */
export function faultsOf ({ status, headers, body }: Heard, secrets: Secrets, sent = ''): string[] {
  const faults: string[] = []
  const given = headers['www-authenticate']
  let answer: Record<string, unknown> = {}
  try {
    answer = JSON.parse(body)
  } catch {
    faults.push('no JSON')
  }
  if (!/^application\/json\b/.test(String(headers['content-type']))) faults.push(`labelled ${String(headers['content-type'])}`)
  if (answer.statusCode !== status || typeof answer.message !== 'string' || typeof answer.error !== 'string') faults.push('members')

  const code = answer.code as string | undefined
  const own = code?.startsWith(PREFIX) ? sessionErrors[code.slice(PREFIX.length) as keyof typeof sessionErrors] : undefined
  if (own === undefined ? !HOST_CODES[status]?.includes(code) : own[0] !== status) faults.push(`status ${status} with code ${code}`)
  if (own !== undefined && headers['cache-control'] !== 'no-store') faults.push('may be stored')
  if (status >= 500 && !(status === 503 && own !== undefined)) faults.push(`status ${status}`)
  if (status === 401 && !/^Bearer(?: error="[a-z_]+"(?:, max_age=\d+)?)?$/.test(String(given))) faults.push(`challenge ${String(given)}`)

  const whole = body + JSON.stringify(headers)
  const telling = TELLING.exec(body)?.[0]
  if (telling !== undefined) faults.push(`tells ${telling}`)
  const found = leaksIn(whole, secrets) ?? sent.split(/[.;,= ]/).find((part) => part.length >= 12 && whole.includes(part))
  if (found !== undefined) faults.push(`holds ${found}`)
  return faults
}

/** The first secret, or part of any token, that a text holds. */
export function leaksIn (text: string, secrets: Secrets): string | undefined {
  return TOKEN.exec(text)?.[0] ?? secrets.find((secret) => text.includes(secret))
}

/** A key in all the ways in which it could be written down. */
export function spellingsOf (key: KeyObject | string): string[] {
  const object = typeof key === 'string' ? createSecretKey(Buffer.from(key)) : key
  if (object.type === 'secret') {
    const bytes = object.export()
    return [bytes.toString('latin1'), JSON.stringify(bytes.toString()).slice(1, -1), ...(['hex', 'base64', 'base64url'] as const).map((encoding) => bytes.toString(encoding)), bytes.join()]
  }
  const pem = object.export({ type: 'pkcs8', format: 'pem' }) as string
  const { d } = object.export({ format: 'jwk' })
  return [...pem.split('\n').filter((line) => line !== '' && !line.startsWith('-')), String(d)]
}

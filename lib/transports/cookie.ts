import type { FastifyInstance, FastifyPluginCallback, FastifyReply } from 'fastify'
import { optionInvalid, sessionError } from '../errors'
import type { GuardRequest, TokenAnswer } from '../../types'

/** What browsers keep of a name and a value together, in bytes (RFC 6265bis section 5.6). */
const LIMIT = 4096

export interface CookieSettings {
  readonly accessName: string
  readonly refreshName: string
  readonly refreshPaths: readonly string[]
  readonly sameSite: 'lax' | 'strict' | 'none'
  readonly secure: boolean
  readonly domain: string | undefined
  readonly persistent: boolean
}

/** The part of @fastify/cookie that is used. */
export type CookiePlugin = FastifyPluginCallback<{ hook: false }>
type Serialize = (name: string, value: string, attributes: object) => string

/** Tokens in cookies that no script can read. */
export interface CookieTransport {
  /** To be awaited before the first cookie is written. */
  prepare (app: FastifyInstance): Promise<void>
  /** @throws `REQUEST_INVALID` when the request has several of different value. */
  findAccess (request: GuardRequest): string | undefined
  /** @throws `REQUEST_INVALID` when the request has several of different value. */
  findRefresh (request: GuardRequest): string | undefined
  /** @throws `OPTION_INVALID` when browsers would drop the cookies for their length. */
  requireFit (answer: TokenAnswer): void
  set (reply: FastifyReply, answer: TokenAnswer): void
  clear (reply: FastifyReply): void
  /** The cookies in the words of OpenAPI. */
  readonly securitySchemes: Readonly<Record<'accessCookie' | 'refreshCookie', object>>
}

export function cookieTransport (settings: CookieSettings, plugin: CookiePlugin): CookieTransport {
  const { accessName, refreshName, refreshPaths, sameSite, secure, domain, persistent } = settings
  const common = { httpOnly: true, secure, sameSite, domain }
  let serialize: Serialize

  function write (reply: FastifyReply, name: string, value: string, path: string, maxAge: number): void {
    const lifetime = persistent || maxAge === 0 ? { maxAge } : {}
    reply.header('set-cookie', serialize(name, value, { ...common, path, ...lifetime }))
  }

  function writeBoth (reply: FastifyReply, access: [value: string, maxAge: number], refresh: [value: string, maxAge: number]): void {
    write(reply, accessName, access[0], '/', access[1])
    for (const path of refreshPaths) write(reply, refreshName, refresh[0], path, refresh[1])
  }

  return {
    async prepare (app) {
      // It cannot serialize before it is registered: out of sight of the host, unless the host has it already.
      await app.register(async (hidden) => {
        if (!hidden.hasDecorator('serializeCookie')) await hidden.register(plugin, { hook: false })
        serialize = (hidden as unknown as { serializeCookie: Serialize }).serializeCookie
      })
    },

    securitySchemes: {
      accessCookie: { type: 'apiKey', in: 'cookie', name: accessName },
      refreshCookie: { type: 'apiKey', in: 'cookie', name: refreshName }
    },

    findAccess: ({ headers }) => valueOf(headers.cookie, accessName),
    findRefresh: ({ headers }) => valueOf(headers.cookie, refreshName),

    requireFit (answer) {
      if (accessName.length + answer.access_token.length > LIMIT || refreshName.length + answer.refresh_token.length > LIMIT) {
        throw optionInvalid('claims', `make a cookie of more than ${LIMIT} bytes`, 'Keep ids in the token and look the rest up')
      }
    },

    set (reply, answer) {
      writeBoth(reply, [answer.access_token, answer.expires_in], [answer.refresh_token, answer.refresh_expires_in])
    },

    clear (reply) {
      writeBoth(reply, ['', 0], ['', 0])
    }
  }
}

/** The value of a cookie. Other hosts of the domain may have set one of the same name: different values are a conflict, not a choice. */
function valueOf (header: string | string[] | undefined, name: string): string | undefined {
  if (typeof header !== 'string') return undefined
  let found: string | undefined
  // Nothing is trimmed: a name with a blank of some kind in front is not bound by what browsers promise of `__Host-`.
  for (const pair of header.split(/; ?/)) {
    if (!pair.startsWith(`${name}=`)) continue
    const value = pair.slice(name.length + 1)
    if (found !== undefined && found !== value) throw sessionError('REQUEST_INVALID', { token: true })
    found = value
  }
  // Some clients keep a cleared cookie as an empty one.
  return found === '' ? undefined : found
}

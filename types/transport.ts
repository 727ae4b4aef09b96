import type { FastifyRequest } from 'fastify'

/** Where a guard looks for an access token. */
export type TokenLocation = 'header' | 'cookie' | 'query' | 'body'

/** How tokens reach the client: as members of the answer, or as cookies that no script can read. */
export type Delivery = 'body' | 'cookie'

/** What decides the delivery of a login, request by request. */
export type ChooseDelivery = (request: FastifyRequest) => Delivery

/** What a guard reads of a request: any Fastify request has it, whatever its server or type provider. */
export interface GuardRequest {
  readonly method: string
  readonly protocol: string
  readonly host: string
  readonly headers: { readonly [name: string]: string | string[] | undefined }
  readonly query: unknown
  readonly body: unknown
  readonly raw: { readonly rawHeaders: readonly string[] }
  readonly server: object
}

/** The header that access tokens travel in (RFC 6750 section 2.1). */
export interface AuthorizationOptions {
  /** Its name. @default 'authorization' */
  header?: string
  /** The schemes that announce a token, without regard to case; `''` for a header that holds nothing but the token. @default ['Bearer'] */
  schemes?: readonly string[]
}

/** The cookies that tokens travel in. All of them are `HttpOnly`. */
export interface CookieOptions {
  /**
   * The name of the cookie with the access token. Browsers keep what begins with `__Host-` or `__Secure-` from being set by
   * other hosts, or without TLS.
   * @default '__Host-access_token'; '__Secure-access_token' with a `domain`, 'access_token' when `secure` is false
   */
  accessName?: string
  /** The name of the cookie with the refresh token. @default '__Secure-refresh_token'; 'refresh_token' when `secure` is false */
  refreshName?: string
  /**
   * The paths that browsers send the refresh token to. Set it where a proxy changes paths: they are what the browser sees.
   * @default the paths of refresh and logout
   */
  refreshPaths?: readonly string[]
  /** Which requests of other sites carry the cookies. `'none'` needs `secure`. @default 'lax' */
  sameSite?: 'lax' | 'strict' | 'none'
  /** Whether the cookies travel over TLS only. Turn it off for development over plain HTTP, and nowhere else. @default true */
  secure?: boolean
  /** The domain whose hosts all get the cookies. @default the host that set them */
  domain?: string
  /** Whether the cookies last as long as their tokens, or end with the browser. @default true */
  persistent?: boolean
}

/** How requests that carry cookies are told from requests that another site made a browser send. */
export interface CsrfOptions {
  /** The request header in which a client repeats the `csrf_token` of its last token answer. @default 'x-csrf-token' */
  header?: string
  /** Origins beside the application's own whose pages may use the cookies: `'https://app.example.com'`. @default none */
  trustedOrigins?: readonly string[]
}

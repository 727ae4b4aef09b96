import type { FastifyReply } from 'fastify'
import type { TokenAnswer, TokenLocation } from './session'

/** What a transport and a guard read of a request: any Fastify request has it, whatever its server or type provider. */
export interface GuardRequest {
  readonly headers: { readonly authorization?: string | undefined }
  readonly raw: { readonly rawHeaders: readonly string[] }
  readonly server: object
}

/** How tokens travel between client and server, both ways. */
export interface Transport {
  /** The location that it reads access tokens from. */
  readonly location: TokenLocation
  /**
   * The access token of a request, unverified; undefined when there is none.
   * @throws `REQUEST_INVALID` when the request holds more than one.
   */
  accessToken (request: GuardRequest): string | undefined
  /** The refresh token of a request, unverified; undefined when there is none. */
  refreshToken (request: { readonly body: unknown }): string | undefined
  /** Puts the tokens on their way; answers what the body of the response is to be. */
  deliver (reply: FastifyReply, answer: TokenAnswer): object
}

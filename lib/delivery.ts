import type { FastifyReply } from 'fastify'
import { cookieAnswer, tokenAnswer } from './schemas'
import type { Settings } from './parts'
import type { Delivery, TokenAnswer } from '../types'

/** Puts tokens on their way; answers what the body of the response is to be. */
export function deliver ({ transport: { cookies } }: Settings, reply: FastifyReply, answer: TokenAnswer, delivery: Delivery): object {
  // Routes of the application deliver tokens too (RFC 6749 section 5.1).
  reply.header('cache-control', 'no-store')
  const { access_token: accessToken, refresh_token: refreshToken, csrf_token: csrfToken, ...rest } = answer
  if (delivery === 'body' || cookies === undefined) return { access_token: accessToken, refresh_token: refreshToken, ...rest }
  cookies.requireFit(answer)
  cookies.set(reply, answer)
  return { ...rest, csrf_token: csrfToken }
}

/** The schemas of what a route answers that delivers tokens. */
export function tokenAnswers ({ transport: { cookies } }: Settings): object {
  return cookies === undefined ? tokenAnswer : { anyOf: [tokenAnswer, cookieAnswer] }
}

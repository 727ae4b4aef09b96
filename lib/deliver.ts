import type { FastifyReply, FastifyRequest } from 'fastify'
import { cookieAnswer, tokenAnswer } from './schemas'
import type { Settings } from './parts'
import type { Delivery, TokenAnswer } from '../types'

/** Puts tokens on their way; answers what the body of the response is to be. */
export function deliver ({ transport: { cookies } }: Settings, reply: FastifyReply, answer: TokenAnswer, delivery: Delivery): object {
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

/** Whether a request is labelled as JSON, which no page can send to another site without being asked first. */
export function isJson ({ headers }: FastifyRequest): boolean {
  return /^application\/json\b/i.test(headers['content-type'] ?? '')
}

import type { FastifyInstance } from 'fastify'
import { loginByCredentials } from '../credentials'
import { isFromOwnPages } from '../csrf'
import { deliver, tokenAnswers } from '../delivery'
import { hangUpOf } from '../login'
import { credentialsBody, errorAnswer } from '../schemas'
import type { Parts } from '../parts'
import type { RouteSettings } from '../route-options'

/** `POST /login`: credentials for tokens. */
export function loginRoute (app: FastifyInstance, parts: Parts, { url, config, bodySchema }: RouteSettings): void {
  const { settings } = parts
  const { transport, usernameField } = settings
  const schema = {
    summary: 'Log in',
    operationId: 'login',
    tags: ['session'],
    security: [],
    body: credentialsBody(usernameField, bodySchema),
    response: { 200: tokenAnswers(settings), '4xx': errorAnswer, '5xx': errorAnswer }
  }
  app.post<{ Body: { password: string, [usernameField: string]: string } }>(url, { schema, config }, async (request, reply) => {
    const delivery = transport.deliver(request)
    // Another site could log its visitors in to an account of its own. It cannot send JSON unasked, so silence proves enough.
    if (delivery === 'cookie') isFromOwnPages(transport.csrf, request)
    const { [usernameField]: username, password } = request.body
    const credentials = { username: username as string, password, signal: hangUpOf(reply) }
    return deliver(settings, reply, await loginByCredentials(parts, credentials, request, delivery), delivery)
  })
}

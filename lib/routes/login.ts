import type { FastifyInstance } from 'fastify'
import { findByCredentials, login } from '../login'
import { errorAnswer, loginBody, tokenAnswer } from '../schemas'
import type { Parts, RouteSettings } from '../parts'

/** `POST /login`: credentials for tokens. */
export function loginRoute (app: FastifyInstance, parts: Parts, { url, config }: RouteSettings): void {
  const { transport, usernameField } = parts.settings
  const schema = {
    summary: 'Log in',
    operationId: 'login',
    tags: ['session'],
    security: [],
    body: loginBody(usernameField),
    response: { 200: tokenAnswer, '4xx': errorAnswer, '5xx': errorAnswer }
  }
  app.post<{ Body: { password: string, [usernameField: string]: string } }>(url, { schema, config }, async (request, reply) => {
    const { [usernameField]: username, password } = request.body
    const user = await findByCredentials(parts, username as string, password, request)
    return transport.deliver(reply, await login(parts, user, request))
  })
}

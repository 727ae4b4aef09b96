import type { FastifyInstance } from 'fastify'
import { isFromOwnPages } from '../csrf'
import { deliver, tokenAnswers } from '../delivery'
import { hangUpOf, login } from '../login'
import { register } from '../register'
import { credentialsBody, errorAnswer } from '../schemas'
import type { Parts } from '../parts'
import type { RouteSettings } from '../route-options'

/** `POST /register`: makes a user and logs it in. */
export function registerRoute (app: FastifyInstance, parts: Parts, { url, config, bodySchema }: RouteSettings): void {
  const { settings } = parts
  const { transport, usernameField } = settings
  const members = [usernameField, ...Object.keys(bodySchema?.properties ?? {})]
  const schema = {
    summary: 'Register',
    operationId: 'register',
    tags: ['session'],
    security: [],
    body: credentialsBody(usernameField, bodySchema),
    response: { 201: tokenAnswers(settings), '4xx': errorAnswer, '5xx': errorAnswer }
  }
  app.post<{ Body: Record<string, unknown> & { password: string } }>(url, { schema, config }, async (request, reply) => {
    const delivery = transport.deliver(request)
    if (delivery === 'cookie') isFromOwnPages(transport.csrf, request)
    // What no schema names goes no further: a client must not choose its own roles.
    const named = Object.fromEntries(members.filter((name) => Object.hasOwn(request.body, name)).map((name) => [name, request.body[name]]))
    const user = await register(parts, named, { password: request.body.password, signal: hangUpOf(reply) }, request)
    const answer = deliver(settings, reply, await login(parts, user, request, delivery), delivery)
    return await reply.code(201).send(answer)
  })
}

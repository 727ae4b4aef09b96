import { Type } from '@sinclair/typebox'
import fastifySwagger from '@fastify/swagger'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import jwtSession from '../../lib'
import { lookupIn, makeUsers, plainPasswords, SECRET, type TestUser } from '../support/app'

type Document = {
  paths: Record<string, Record<string, { summary: string, operationId: string, tags: string[], security: object[], requestBody?: object, responses: Record<string, object> }>>
  components: { securitySchemes: Record<string, object> }
}

async function describe (t: Test, options: object, swagger: object = { openapi: { openapi: '3.1.0' } }): Promise<Document> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifySwagger, swagger)
  await app.register(jwtSession, {
    secret: SECRET,
    userLookup: { ...lookupIn(makeUsers()), create: (): TestUser | null => null },
    passwords: plainPasswords,
    routes: { register: { bodySchema: Type.Object({ email: Type.String() }) }, sessions: true },
    ...options
  })
  await app.ready()
  return app.swagger() as unknown as Document
}

for (const openapi of ['3.0.3', '3.1.0']) {
  for (const locations of [['header'], ['cookie'], ['header', 'cookie']]) {
    t.test(`OpenAPI ${openapi} for ${locations.join(' and ')}: the document is valid, and all routes are in it`, async (t) => {
      const document = await describe(t, { locations }, { openapi: { openapi } })
      const { Validator } = await import('@seriousme/openapi-schema-validator')
      const { valid, errors } = await new Validator().validate(structuredClone(document))
      t.ok(valid, JSON.stringify(errors))

      const operations = Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => [`${method} ${path}`, operation] as const))
      t.same(operations.map(([name]) => name).sort(), [
        'delete /sessions/{id}', 'get /sessions', 'post /login', 'post /logout', 'post /refresh', 'post /register'
      ])
      const schemes = Object.keys(document.components.securitySchemes)
      t.same(schemes, locations.includes('cookie') ? ['bearerAuth', 'accessCookie', 'refreshCookie'] : ['bearerAuth'])
      for (const [name, { summary, operationId, tags, security, responses, requestBody }] of operations) {
        t.ok(summary !== '' && operationId !== '', name)
        t.same(tags, ['session'], name)
        t.ok(security.every((requirement) => Object.keys(requirement).every((scheme) => schemes.includes(scheme))), `${name} names schemes that are there`)
        t.ok(Object.keys(responses).some((status) => status.startsWith('2')) && '4XX' in responses && '5XX' in responses, name)
        t.equal(requestBody !== undefined, name.startsWith('post'), name)
      }
      t.equal(new Set(operations.map(([, { operationId }]) => operationId)).size, operations.length)
    })
  }
}

t.test('a header of another name or scheme is described as it is', async (t) => {
  t.match((await describe(t, {})).components.securitySchemes, { bearerAuth: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } })
  for (const authorization of [{ header: 'X-Token' }, { schemes: ['JWT'] }]) {
    const { components } = await describe(t, { authorization })
    t.match(components.securitySchemes, { bearerAuth: { type: 'apiKey', in: 'header', name: authorization.header ?? 'authorization' } })
  }
})

t.test('what the application says of schemes and routes stands', async (t) => {
  const bearerAuth = { type: 'http', scheme: 'bearer', description: 'ours' }
  const { components } = await describe(t, {}, { openapi: { components: { securitySchemes: { bearerAuth } } } })
  t.same(components.securitySchemes, { bearerAuth })
  const hidden = await describe(t, { routes: { login: { config: { swaggerTransform: ({ url }: { url: string }) => ({ schema: { hide: true }, url }) } } } })
  t.same(Object.keys(hidden.paths).sort(), ['/logout', '/refresh'])
})

t.test('a document of Swagger 2 is made all the same', async (t) => {
  const document = await describe(t, {}, { swagger: {} }) as Document & { securityDefinitions: object }
  t.ok('/login' in document.paths)
  t.same(Object.keys(document.securityDefinitions), ['bearerAuth'])
})

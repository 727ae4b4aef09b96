import type { FastifyContextConfig } from 'fastify'
import type { Settings } from './parts'

/** What @fastify/swagger hands over: a document of OpenAPI 3, or one of Swagger 2. */
interface Transformed {
  schema: object
  url: string
  openapiObject?: { components: { securitySchemes?: object } }
  swaggerObject?: { securityDefinitions?: object }
}

/** The `config` of a route that puts the security schemes, which schemas only name, into the document of @fastify/swagger. */
export function documented ({ transport: { securitySchemes } }: Settings, config: FastifyContextConfig): FastifyContextConfig {
  function swaggerTransform ({ schema, url, openapiObject, swaggerObject }: Transformed): object {
    if (openapiObject !== undefined) openapiObject.components.securitySchemes = { ...securitySchemes, ...openapiObject.components.securitySchemes }
    if (swaggerObject !== undefined) swaggerObject.securityDefinitions = { ...securitySchemes, ...swaggerObject.securityDefinitions }
    return { schema, url }
  }
  return { swaggerTransform, ...config } as FastifyContextConfig
}

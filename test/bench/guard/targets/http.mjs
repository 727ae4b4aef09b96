import { forge, bearer } from '../tokens.mjs'

/** Starts a Fastify application on a free port; answers what every target answers. */
export async function listening (app, credentials) {
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { port: app.server.address().port, close: () => app.close(), ...credentials }
}

/** The lines of requests with the tokens that all servers share. */
export function sharedCredentials ({ tokens }) {
  return { valid: tokens.map(bearer), forged: bearer(forge(tokens[0])) }
}

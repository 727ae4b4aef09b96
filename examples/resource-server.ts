// A server that logs in, and another one that honours its tokens by nothing but the address of its public keys.
// `npm run build && npx tsx examples/resource-server.ts` runs both, prints what happens, and ends.
import { generateKeyPairSync } from 'node:crypto'
import Fastify, { type FastifyInstance } from 'fastify'
import jwtSession from 'fastify-jwt-session'

const alice = { id: 'alice', passwordHash: '', roles: ['buyer'] }
const bob = { id: 'bob', passwordHash: '', roles: [] as string[] }

/** The application that issues. Its private key never leaves it. */
async function startIssuer (): Promise<FastifyInstance> {
  // In earnest it comes from a vault: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const issuer = Fastify({ logger: { level: 'warn' } })
  await issuer.register(jwtSession, {
    keys: [{ kid: 'first', algorithm: 'ES256', privateKey }],
    issuer: 'https://login.example.com',
    audience: 'orders',
    userLookup: { findByUsername: () => null, findById: (id) => [alice, bob].find((user) => user.id === id) },
    claims: ({ roles }) => ({ roles }),
    routes: { jwks: true, login: false }
  })
  issuer.get('/me', { onRequest: [issuer.authenticate] }, ({ auth }) => ({ id: auth.subject }))
  await issuer.listen({ host: '127.0.0.1', port: 0 })
  return issuer
}

/** The resource server: no secret, no users, no route of its own for logins. */
async function startOrders (jwksUrl: string): Promise<FastifyInstance> {
  const orders = Fastify({ logger: { level: 'warn' } })
  await orders.register(jwtSession, {
    jwks: { url: jwksUrl }, // https, or http on localhost as here
    issuer: 'https://login.example.com',
    audience: 'orders',
    revocationStore: false // honours tokens until they expire; with the issuer's Redis, a logout counts at once here too
  })
  orders.get('/orders', { onRequest: [orders.requireClaims({ roles: 'buyer' })] }, ({ auth }) => ({ ordersOf: auth.subject }))
  await orders.listen({ host: '127.0.0.1', port: 0 })
  return orders
}

async function main (): Promise<void> {
  const issuer = await startIssuer()
  const jwksUrl = `${issuer.listeningOrigin}/.well-known/jwks.json`
  const orders = await startOrders(jwksUrl)

  async function show (title: string, url: string, token?: string, method = 'GET'): Promise<void> {
    const answer = await fetch(url, { method, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } })
    console.log(`${title}\n  ${answer.status} ${await answer.text()}\n`)
  }
  // Logins of your own, which need no password.
  const { access_token: alices } = await issuer.jwtSession.login(alice)
  const { access_token: bobs } = await issuer.jwtSession.login(bob)
  const url = `${orders.listeningOrigin}/orders`

  await show('The issuer publishes its public key:', jwksUrl)
  await show('Nobody asks the resource server for orders:', url)
  await show('Alice does, who is a buyer:', url, alices)
  await show('Bob does, who is none:', url, bobs)
  const [header, claims, signature] = alices.split('.')
  const raised = { ...JSON.parse(Buffer.from(claims as string, 'base64url').toString()), sub: 'bob' }
  await show('Somebody has changed what the token says:', url, [header, Buffer.from(JSON.stringify(raised)).toString('base64url'), signature].join('.'))
  await show('Alice logs out at the issuer:', `${issuer.listeningOrigin}/logout`, alices, 'POST')
  await show('The issuer refuses her token from then on:', `${issuer.listeningOrigin}/me`, alices)
  await show('The resource server, without a store, honours it until it expires (15 minutes):', url, alices)

  await orders.close()
  await issuer.close()
}

main()

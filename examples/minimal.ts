// A server with sessions in memory, two demo users and three routes. `npm run build && npx tsx examples/minimal.ts` runs it.
import { randomBytes } from 'node:crypto'
import Fastify from 'fastify'
import jwtSession, { bcryptPasswords } from 'fastify-jwt-session'

// A secret that is made up at every start logs everybody out at every start: good enough for a demo.
const { PORT = '3000', JWT_SECRET = randomBytes(32).toString('base64') } = process.env

async function start (): Promise<void> {
  const { hash } = bcryptPasswords()
  const users = [
    { id: '1', username: 'alice', passwordHash: await hash('wonderland'), roles: ['admin', 'editor'] },
    { id: '2', username: 'bob', passwordHash: await hash('builder'), roles: ['reader'] }
  ]

  const app = Fastify({ logger: { level: 'warn' } })

  await app.register(jwtSession, {
    secret: JWT_SECRET,
    userLookup: {
      findByUsername: (username) => users.find((user) => user.username === username),
      findById: (id) => users.find((user) => user.id === id)
    },
    claims: ({ roles }) => ({ roles })
  })

  app.get('/', () => ({ hello: 'everybody' }))
  app.get('/me', { onRequest: [app.authenticate] }, ({ auth }) => ({ id: auth.subject, roles: auth.claims.roles }))
  app.get('/admin', { onRequest: [app.requireClaims({ roles: 'admin' })] }, () => ({ hello: 'admin' }))

  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
  const address = await app.listen({ host: '127.0.0.1', port: Number(PORT) })
  console.log(guide(address))
}

function guide (address: string): string {
  return `
Listening at ${address} with two users:

  alice / wonderland, an admin
  bob / builder, not an admin

Paste these lines into another shell, one after the other:

  url=${address} json='content-type: application/json'
  field () { echo "$tokens" | node -p "JSON.parse(fs.readFileSync(0)).$1"; }

  # log in
  tokens=$(curl -s $url/login -H "$json" -d '{"username":"alice","password":"wonderland"}')

  # guarded routes
  curl -iw '\\n' $url/me -H "authorization: Bearer $(field access_token)"
  curl -iw '\\n' $url/admin -H "authorization: Bearer $(field access_token)"

  # new tokens for the refresh token, which is used up by this
  tokens=$(curl -s $url/refresh -H "$json" -d '{"refresh_token":"'$(field refresh_token)'"}')
  curl -iw '\\n' $url/me -H "authorization: Bearer $(field access_token)"

  # log out: from now on the access token is refused
  curl -iX POST $url/logout -H "authorization: Bearer $(field access_token)"
  curl -iw '\\n' $url/me -H "authorization: Bearer $(field access_token)"
`
}

start()

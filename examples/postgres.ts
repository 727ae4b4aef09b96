// Users and sessions in PostgreSQL: migrate, register, serve. `npm run build && npx tsx examples/postgres.ts` runs it, with the
// database at DATABASE_URL. Start it twice, at two ports and with one JWT_SECRET, and there are two nodes.
import { randomBytes } from 'node:crypto'
import Fastify from 'fastify'
import { Pool } from 'pg'
import jwtSession, { type SessionUser } from 'fastify-jwt-session'
import { postgresStore } from 'fastify-jwt-session/postgres'

const {
  PORT = '3000', DATABASE_URL = 'postgres://postgres@127.0.0.1:5432/test', JWT_SECRET = randomBytes(32).toString('base64')
} = process.env

const columns = 'id::text, password_hash as "passwordHash", username'
type User = SessionUser & { username: string }

async function start (): Promise<void> {
  // Who waits longer than a second for a connection is told so by a 503, rather than kept waiting.
  const pool = new Pool({ connectionString: DATABASE_URL, connectionTimeoutMillis: 1000 })
  // Without a listener, a connection that breaks while it is idle would end the process.
  pool.on('error', (error) => console.error(`PostgreSQL: ${error.message}`))

  // In a program of yours this belongs among your other migrations; `store.migration` is the SQL.
  const store = postgresStore(pool, { table: 'example_sessions' })
  await store.migrate()
  await pool.query(`create table if not exists example_users (
    id bigint generated always as identity primary key, username text not null unique, password_hash text not null)`)

  const app = Fastify({ logger: { level: 'warn' } })
  app.addHook('onClose', () => pool.end())

  const find = async (condition: string, value: unknown) =>
    (await pool.query<User>(`select ${columns} from example_users where ${condition}`, [value])).rows[0]
  await app.register(jwtSession, {
    secret: JWT_SECRET,
    revocationStore: store,
    userLookup: {
      findByUsername: (username) => find('username = lower($1)', username),
      findById: (id) => find('id::text = $1', id),
      async create ({ username, passwordHash }) {
        // Two who want one name at once: the database decides, and no row is how it says "taken".
        const { rows } = await pool.query<User>(`insert into example_users (username, password_hash) values (lower($1), $2)
          on conflict do nothing returning ${columns}`, [username, passwordHash])
        return rows[0] ?? null
      }
    },
    claims: ({ username }) => ({ username }),
    routes: { register: true, sessions: true }
  })
  app.get('/me', { onRequest: [app.authenticate] }, ({ auth }) => ({ id: auth.subject, username: auth.claims.username }))

  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
  const address = await app.listen({ host: '127.0.0.1', port: Number(PORT) })
  console.log(`
Listening at ${address}, with users and sessions in PostgreSQL. They outlive a restart, given the same JWT_SECRET.

  url=${address} json='content-type: application/json'
  tokens=$(curl -s $url/register -H "$json" -d '{"username":"carol","password":"correct horse"}')
  curl -iw '\\n' $url/sessions -H "authorization: Bearer $(echo "$tokens" | node -p 'JSON.parse(fs.readFileSync(0)).access_token')"
`)
}

start().catch((error) => { console.error(`It could not start: ${error.message || error.code}`); process.exitCode = 1 })

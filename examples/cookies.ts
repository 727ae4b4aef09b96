// A page whose tokens are in cookies that no script can read, guarded against other sites: `npx tsx examples/cookies.ts`.
import { randomBytes } from 'node:crypto'
import Fastify from 'fastify'
import jwtSession, { bcryptPasswords } from 'fastify-jwt-session'

// A secret that is made up at every start logs everybody out at every start: good enough for a demo.
const { PORT = '3000', JWT_SECRET = randomBytes(32).toString('base64'), NODE_ENV } = process.env

const PAGE = `<!doctype html>
<title>Cookies</title>
<form id="login">
  <input name="username" value="alice"> <input name="password" type="password" value="wonderland"> <button>Log in</button>
</form>
<form id="nickname"><input name="nickname" value="Al"> <button>Change my nickname</button></form>
<button id="me">Who am I?</button> <button id="logout">Log out</button>
<pre id="answer"></pre>
<script src="/page.js"></script>
`

// No token is in sight. Browsers themselves say which page sends a request, so nothing has to be repeated either.
const SCRIPT = `
async function call (path, body) {
  const request = body && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
  let response = await fetch(path, request)
  if (response.status === 401 && path !== '/login') {
    // The access token has expired: one renewal, one more try.
    const renewed = await fetch('/refresh', { method: 'POST' })
    if (renewed.ok) response = await fetch(path, request)
  }
  document.getElementById('answer').textContent = response.status + ' ' + await response.text()
}
for (const id of ['login', 'nickname']) {
  document.getElementById(id).onsubmit = (event) => {
    event.preventDefault()
    return call('/' + id, Object.fromEntries(new FormData(event.target)))
  }
}
document.getElementById('me').onclick = () => call('/me')
document.getElementById('logout').onclick = () => call('/logout', {})
`

async function start (): Promise<void> {
  const { hash } = bcryptPasswords()
  const users = [{ id: '1', username: 'alice', passwordHash: await hash('wonderland'), nickname: 'Alice' }]

  const app = Fastify({ logger: { level: 'error' } })

  await app.register(jwtSession, {
    secret: JWT_SECRET,
    userLookup: {
      findByUsername: (username) => users.find((user) => user.username === username),
      findById: (id) => users.find((user) => user.id === id)
    },
    locations: ['cookie'],
    // Not every browser keeps Secure cookies of a page at http://127.0.0.1.
    cookie: { secure: NODE_ENV === 'production' }
  })

  app.get('/', (_request, reply) => reply.type('text/html').header('content-security-policy', "default-src 'self'").send(PAGE))
  app.get('/page.js', (_request, reply) => reply.type('text/javascript').send(SCRIPT))

  app.get('/me', { onRequest: [app.authenticate({ loadUser: true })] }, ({ auth }) => {
    const { id, nickname } = auth.user as typeof users[number]
    return { id, nickname }
  })
  app.post<{ Body: { nickname: string } }>('/nickname', {
    onRequest: [app.authenticate({ loadUser: true })],
    schema: { body: { type: 'object', required: ['nickname'], properties: { nickname: { type: 'string', maxLength: 40 } } } }
  }, ({ auth, body }) => {
    const user = auth.user as typeof users[number]
    user.nickname = body.nickname
    return { nickname: user.nickname }
  })

  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
  const address = await app.listen({ host: '127.0.0.1', port: Number(PORT) })
  console.log(guide(address))
}

function guide (address: string): string {
  return `
Listening at ${address} with one user: alice / wonderland. Open it in a browser.

To see what others get, paste these lines into another shell, one after the other:

  url=${address} json='content-type: application/json' jar=$(mktemp)
  change () { curl -iw '\\n' -b $jar $url/nickname -H "$json" -d '{"nickname":"Al"}' "$@"; }

  # log in, as a client that keeps cookies
  csrf=$(curl -s -c $jar $url/login -H "$json" -d '{"username":"alice","password":"wonderland"}' | node -p 'JSON.parse(fs.readFileSync(0)).csrf_token')

  # to read, cookies are enough
  curl -iw '\\n' -b $jar $url/me

  # to change something they are not: neither for a page of another site, nor for a client that is no browser
  change -H 'sec-fetch-site: cross-site'
  change

  # but for a page of this one they are, and for a client that repeats the token of its session
  change -H 'sec-fetch-site: same-origin'
  change -H "x-csrf-token: $csrf"

  # log out: the cookies are of no use any more
  curl -iX POST -b $jar $url/logout -H "x-csrf-token: $csrf"
  curl -iw '\\n' -b $jar $url/me
`
}

start()

// Logs, at trace, what must never be logged: one line for each kind, to prove that log-audit.ts sees it.
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import Fastify from 'fastify'
import jwtSession from '../../lib'
import { lookupIn, makeUsers, plainPasswords, SECRET } from './app'

async function leak (): Promise<void> {
  const printed: string[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write: (line: string) => { printed.push(line) } } } })
  await app.register(jwtSession, { secret: SECRET, userLookup: lookupIn(makeUsers()), passwords: plainPasswords, locations: ['header', 'cookie'], deliver: (request) => request.headers['x-deliver'] === 'cookie' ? 'cookie' : 'body' })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const login = (password: string, headers = {}) => app.inject({ method: 'POST', url: '/login', payload: { username: 'alice', password }, headers })

  const { access_token: token, refresh_token: refreshToken } = (await login('wonderland')).json()
  await login('tweedledum')
  const browser = await login('wonderland', { 'x-deliver': 'cookie', 'sec-fetch-site': 'same-origin' })
  const [cookie] = [browser.headers['set-cookie']].flat() as [string]
  const { privateKey } = generateKeyPairSync('ed25519')
  const jwk = privateKey.export({ format: 'jwk' })
  createPrivateKey({ key: jwk, format: 'jwk' })

  const lines: Record<string, object> = {
    'access token': { deep: [{ in: `it is ${token}.` }] },
    'refresh token': { refreshToken },
    'signature alone': { tail: token.slice(token.lastIndexOf('.') + 1) },
    'right password': { body: { password: 'wonderland' } },
    'wrong password': { err: new Error('no such thing as tweedledum') },
    'hash of the tests': { hash: 'plain:wonderland' },
    'bcrypt hash': { hash: `$2b$10$${'a'.repeat(53)}` },
    'scrypt hash': { hash: '$scrypt$ln=15,r=8,p=3$c2FsdA$a2V5' },
    secret: { options: { secret: SECRET } },
    'secret in base64': { secret: Buffer.from(SECRET).toString('base64') },
    'private key in PEM': { pem: privateKey.export({ format: 'pem', type: 'pkcs8' }) },
    'private key in JWK': { key: jwk },
    'private key alone': { text: `it is ${jwk.d}` },
    cookie: { cookie: cookie.split(';')[0] },
    'csrf token': { csrf: browser.json().csrf_token },
    nothing: { id: 'user-alice', code: 'FST_JWT_SESSION_TOKEN_INVALID', sid: 'k2hfS0wSbXq3lZ0yVx9vNw' }
  }
  for (const [kind, line] of Object.entries(lines)) app.log.trace(line, `leak: ${kind}`)
  app.log.warn('for the application')
  await app.close()
  process.stdout.write(printed.join(''))
}

leak()

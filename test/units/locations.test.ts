import t from 'tap'
import { cookieTransport, type CookiePlugin } from '../../lib/transports/cookie'
import { headerLocation } from '../../lib/transports/header'
import { parameterLocation } from '../../lib/transports/parameter'
import type { GuardRequest } from '../../types'

const request = (change: Partial<GuardRequest>): GuardRequest =>
  ({ method: 'GET', protocol: 'https', host: 'x', headers: {}, query: {}, body: undefined, raw: { rawHeaders: [] }, server: {}, ...change })

const cookies = cookieTransport({
  accessName: 'a', refreshName: 'r', refreshPaths: ['/'], sameSite: 'lax', secure: true, domain: undefined, persistent: true
}, {} as CookiePlugin)

t.test('a request that holds more than one token in a place, or none that is text, is malformed and told so', async (t) => {
  const bearer = headerLocation('authorization', ['Bearer'])
  const bare = headerLocation('x-token', [''])
  const malformed: [string, () => unknown][] = [
    ['two cookies', () => cookies.findAccess(request({ headers: { cookie: 'a=1; a=2' } }))],
    ['two cookies', () => cookies.findRefresh(request({ headers: { cookie: 'r=1; r=2' } }))],
    ['two headers', () => bearer(request({ headers: { authorization: 'Bearer x' }, raw: { rawHeaders: ['Authorization', 'Bearer x', 'authorization', 'Bearer y'] } }))],
    ['a list of headers', () => bare(request({ headers: { 'x-token': ['x', 'y'] } }))],
    ['two parameters', () => parameterLocation('query')(request({ query: { access_token: ['x', 'y'] } }))],
    ['a number', () => parameterLocation('body')(request({ body: { access_token: 1 } }))]
  ]
  for (const [name, find] of malformed) {
    t.throws(find, { code: 'FST_JWT_SESSION_REQUEST_INVALID', headers: { 'www-authenticate': 'Bearer error="invalid_request"' } }, name)
  }
})

t.test('a parameter is the token as it stands', async (t) => {
  t.equal(parameterLocation('query')(request({ query: { access_token: 'x' } })), 'x')
  t.equal(parameterLocation('body')(request({ query: { access_token: 'x' } })), undefined)
})

t.test('what follows a scheme without a blank is a token that fits nothing, and not what comes after the next character', async (t) => {
  const find = headerLocation('authorization', ['Bearer', 'B'])
  const found = (authorization: string) => find(request({ headers: { authorization } }))
  for (const value of ['Bearer', 'Bearerx', 'Bearer\tx', 'Bearer=x', 'B', 'B\tx']) t.equal(found(value), '', value)
  t.equal(found('Bearer x'), 'x')
  t.equal(found('b x'), 'x')
  t.equal(found('Bearer  x'), ' x')
  t.equal(found('Cearer x'), undefined)
})

t.test('a header is counted by its name, and not by what it holds or what is like it', async (t) => {
  const find = headerLocation('x-token', [''])
  const rawHeaders = ['X-Token', 'x-token', 'Y-Token', 'x-token', 'x-token2', 'x']
  t.equal(find(request({ headers: { 'x-token': 'x-token' }, raw: { rawHeaders } })), 'x-token')
})

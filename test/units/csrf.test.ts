import fc from 'fast-check'
import t from 'tap'
import { isFromOwnPages, isJson, refuseForgery } from '../../lib/csrf'
import type { GuardRequest } from '../../types'

const TOKEN = 'q2v8Zk1mN4xT7bR0sD3fGw'
const settings = { header: 'x-csrf-token', trustedOrigins: ['https://app.example.com', 'http://localhost:5173'] }

function requestOf (headers: GuardRequest['headers'], others: Partial<GuardRequest> = {}): GuardRequest {
  return { method: 'POST', protocol: 'https', host: 'shop.example.com', headers, query: {}, body: undefined, raw: { rawHeaders: [] }, server: {}, ...others }
}

/** What becomes of a request: whether it passes, or the code of its refusal. */
function verdict (headers: GuardRequest['headers'], others: Partial<GuardRequest> = {}, expected: string | undefined = TOKEN, isPreflighted?: boolean): string {
  try {
    refuseForgery(settings, requestOf(headers, others), expected, isPreflighted)
    return 'passes'
  } catch (error) {
    return (error as { code: string }).code.replace('FST_JWT_SESSION_', '')
  }
}

/** What the browser's word of a request is taken for. */
function word (headers: GuardRequest['headers'], others: Partial<GuardRequest> = {}): boolean | 'CSRF_FAILED' {
  try {
    return isFromOwnPages(settings, requestOf(headers, others))
  } catch {
    return 'CSRF_FAILED'
  }
}

t.test('Sec-Fetch-Site decides when it is there', async (t) => {
  for (const site of ['same-origin', 'none']) t.equal(verdict({ 'sec-fetch-site': site }), 'passes', site)
  for (const site of ['cross-site', 'same-site', '', 'SAME-ORIGIN', 'same-origin ', 'same-origin, cross-site', 'cross-site, same-origin', 'undefined', ['same-origin']]) {
    t.equal(verdict({ 'sec-fetch-site': site }), 'CSRF_FAILED', String(site))
    t.equal(verdict({ 'sec-fetch-site': site, origin: 'https://shop.example.com' }), 'CSRF_FAILED', `${String(site)}: a good Origin does not help`)
  }
  t.equal(verdict({ 'sec-fetch-site': 'same-origin', origin: 'null' }), 'passes', 'as the policy no-referrer has it')
})

t.test('without it Origin decides, which has to be the very host', async (t) => {
  const own = ['https://shop.example.com']
  const others = [
    'null', '', 'https://', 'https://shop.example.com/', 'https://shop.example.com.', 'https://shop.example.com:444', 'https://shop.example.com:443', 'HTTPS://shop.example.com',
    'https://SHOP.example.com', 'https://shop.example.com.evil.com', 'https://evil.com/shop.example.com', 'https://shop.example.com@evil.com', 'https://evil.com#shop.example.com',
    'https://evilshop.example.com', 'https://example.com', 'https://app.shop.example.com', 'https://shop-example.com', 'shop.example.com', '//shop.example.com', 'http://shop.example.com',
    'wss://shop.example.com', 'file://', 'https://shop.example.com, https://evil.com', 'https://shop.example.com https://evil.com', ' https://shop.example.com', 'https://shop.example.com\u0000',
    'https://shop.example\u3002com', 'https://APP.example.com', 'https://app.example.com/', 'https://app.example.com:443', 'http://app.example.com', 'http://localhost', 'http://localhost:51730'
  ]
  for (const origin of own) t.equal(verdict({ origin }), 'passes', origin)
  for (const origin of [...others, own]) t.equal(verdict({ origin }), 'CSRF_FAILED', String(origin))
})

t.test('trusted origins pass, whatever Sec-Fetch-Site says', async (t) => {
  for (const origin of settings.trustedOrigins) {
    t.equal(verdict({ origin }), 'passes', origin)
    for (const site of ['same-site', 'cross-site', 'none']) t.equal(verdict({ origin, 'sec-fetch-site': site }), 'passes', `${origin}, ${site}`)
  }
  t.equal(verdict({ 'sec-fetch-site': 'same-site' }), 'CSRF_FAILED', 'an origin that is not told is not trusted')
})

t.test('hosts, ports and schemes', async (t) => {
  const cases: [origin: string, protocol: string, host: string, isOwn: boolean][] = [
    ['https://shop.example.com', 'https', 'SHOP.Example.com', true],
    ['https://shop.example.com', 'https', 'shop.example.com:443', true],
    ['https://shop.example.com', 'https', 'shop.example.com:80', false],
    ['https://shop.example.com', 'https', 'shop.example.com:8443', false],
    ['https://shop.example.com:8443', 'https', 'shop.example.com:8443', true],
    ['https://shop.example.com:8443', 'https', 'shop.example.com', false],
    ['https://shop.example.com', 'http', 'shop.example.com', true],
    ['http://shop.example.com', 'http', 'shop.example.com', true],
    ['http://shop.example.com', 'https', 'shop.example.com', false],
    ['http://localhost:3000', 'http', 'localhost:3000', true],
    ['http://localhost', 'http', 'localhost:80', true],
    ['http://localhost', 'http', 'localhost:443', false],
    ['https://localhost', 'http', 'localhost:80', false],
    ['http://localhost:3001', 'http', 'localhost:3000', false],
    ['http://127.0.0.1:3000', 'http', 'localhost:3000', false],
    ['https://[::1]:3000', 'https', '[::1]:3000', true],
    ['https://[2001:db8::1]', 'https', '[2001:DB8::1]', true],
    ['https://[2001:db8::1]', 'https', '[2001:db8::1]:443', true],
    ['https://[2001:db8::1]', 'https', '[2001:db8::2]', false],
    ['https://', 'https', '', false],
    ['http://', 'http', '', false],
    ['https://undefined', 'https', '', false],
    ['null', 'http', 'null', false]
  ]
  for (const [origin, protocol, host, isOwn] of cases) {
    t.equal(word({ origin }, { protocol, host }), isOwn || 'CSRF_FAILED', `${origin} at ${protocol} ${host}`)
  }
})

t.test('no origin passes but that of the host and the trusted ones', async (t) => {
  const part = fc.constantFrom('https', 'http', ':', '//', 'shop', '.', 'example', 'com', '@', ':443', ':80', '/', '#', '?', 'evil', 'null', '\\', '%2e', ' ', 'SHOP', '[', ']')
  t.doesNotThrow(() => fc.assert(fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
    const origin = parts.join('')
    const isOwn = origin === 'https://shop.example.com' || settings.trustedOrigins.includes(origin)
    return word({ origin }) === (isOwn || 'CSRF_FAILED')
  }), { seed: 20_260_101, numRuns: 5000 }))
})

t.test('where the browser says nothing, the token has to be repeated', async (t) => {
  t.equal(word({}), false)
  t.equal(verdict({}), 'CSRF_FAILED')
  t.equal(verdict({ 'x-csrf-token': TOKEN }), 'passes')
  t.equal(verdict({}, {}, TOKEN, true), 'passes', 'unless the request was preflighted')
  t.equal(verdict({ referer: 'https://shop.example.com/' }), 'CSRF_FAILED', 'Referer proves nothing')
  t.equal(verdict({ 'x-requested-with': 'XMLHttpRequest' }), 'CSRF_FAILED')
})

t.test('a token that is repeated has to be right, whatever else speaks for the request', async (t) => {
  for (const repeated of ['', ' ', 'x', TOKEN.slice(1), `${TOKEN} `, TOKEN.toLowerCase(), `${TOKEN}, ${TOKEN}`, 'é'.repeat(22), 'é'.repeat(11), 'undefined', [TOKEN]]) {
    for (const headers of [{}, { 'sec-fetch-site': 'same-origin' }, { origin: 'https://app.example.com' }]) {
      t.equal(verdict({ 'x-csrf-token': repeated, ...headers }), 'CSRF_FAILED', `${String(repeated)} ${JSON.stringify(headers)}`)
      t.equal(verdict({ 'x-csrf-token': repeated, ...headers }, {}, TOKEN, true), 'CSRF_FAILED')
    }
  }
  t.equal(verdict({ 'x-csrf-token': 'undefined' }, {}, undefined), 'CSRF_FAILED', 'where there is none, none is right')
  t.equal(verdict({ 'x-csrf-token': '' }, {}, undefined), 'CSRF_FAILED')
  t.equal(verdict({ 'sec-fetch-site': 'same-origin' }, {}, undefined), 'passes')
  t.equal(verdict({ 'x-csrf-token': TOKEN, 'sec-fetch-site': 'cross-site' }), 'CSRF_FAILED', 'and a right one does not help another site')
})

t.test('methods that change nothing are free, but for opening a WebSocket', async (t) => {
  const cross = { 'sec-fetch-site': 'cross-site' }
  for (const method of ['GET', 'HEAD', 'OPTIONS']) {
    t.equal(verdict(cross, { method }), 'passes', method)
    t.equal(verdict({ 'x-csrf-token': 'x' }, { method }), 'passes', method)
    for (const upgrade of ['websocket', 'WebSocket', 'h2c, websocket', ['websocket']]) t.equal(verdict({ ...cross, upgrade }, { method }), 'CSRF_FAILED', `${method} ${String(upgrade)}`)
    t.equal(verdict({ ...cross, upgrade: 'h2c' }, { method }), 'passes')
  }
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'CONNECT', 'QUERY', 'PROPFIND', 'get', 'Get', '']) t.equal(verdict(cross, { method }), 'CSRF_FAILED', method)
})

t.test('what a page can send without a preflight is not taken for JSON', async (t) => {
  for (const type of ['application/json', 'Application/JSON', 'application/json; charset=utf-8', 'application/json;charset=utf-8', 'application/json ; x']) {
    t.equal(isJson(requestOf({ 'content-type': type })), true, type)
  }
  for (const type of [undefined, '', 'text/plain', 'text/plain; application/json', 'text/plain;charset=application/json', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=application/json', ' application/json', 'application/jsonp', 'application/json-seq', 'x-application/json', 'application/json, text/plain']) {
    t.equal(isJson(requestOf({ 'content-type': type })), false, String(type))
  }
})

import Module from 'node:module'
import Fastify, { type FastifyReply } from 'fastify'
import t from 'tap'
import { readTransport, type TransportSettings } from '../../lib/transport-options'
import { SECRET } from '../support/app'
import jwtSession from '../../lib'
import type { GuardRequest, TokenAnswer } from '../../types'

type Options = Parameters<typeof readTransport>[0]

const PATHS = ['/refresh', '/logout']

function refusal (options: unknown, paths = PATHS): string {
  try {
    readTransport(options as Options, paths)
  } catch (error) {
    const { code, message } = error as { code: string, message: string }
    return code === 'FST_JWT_SESSION_OPTION_INVALID' ? message : `${code}: ${message}`
  }
  return 'accepted'
}

function requestWith (cookie: string | string[] | undefined): GuardRequest {
  return { method: 'GET', protocol: 'https', host: 'x', headers: { cookie }, query: {}, body: undefined, raw: { rawHeaders: [] }, server: {} }
}

// First, because Node remembers what it has found.
t.test('without @fastify/cookie, cookies are refused at start, and nothing else is', async (t) => {
  const { _resolveFilename: resolve } = Module as unknown as { _resolveFilename: (name: string, ...rest: unknown[]) => string }
  let failure: Error = Object.assign(new Error("Cannot find module '@fastify/cookie'"), { code: 'MODULE_NOT_FOUND' })
  Object.assign(Module, {
    _resolveFilename (name: string, ...rest: unknown[]) {
      if (name === '@fastify/cookie') throw failure
      return resolve(name, ...rest)
    }
  })
  t.teardown(() => { Object.assign(Module, { _resolveFilename: resolve }) })

  const register = async (locations: jwtSession.TokenLocation[]) => {
    const app = Fastify()
    t.teardown(async () => await app.close().catch(() => {}))
    await app.register(jwtSession, { secret: SECRET, userLookup: { findByUsername: () => null, findById: () => null }, locations })
  }
  await t.rejects(register(['header', 'cookie']), {
    code: 'FST_JWT_SESSION_OPTION_INVALID',
    message: "fastify-jwt-session: locations holds 'cookie', and @fastify/cookie is not installed. Run npm install @fastify/cookie."
  })
  await t.resolves(register(['header']))

  failure = new Error('broken')
  await t.rejects(register(['cookie']), { message: 'broken' }, 'what is there and broken is not called missing')
})

t.test('the defaults', async (t) => {
  const plain = readTransport({}, PATHS)
  t.match(plain, { locations: ['header'], cookies: undefined, csrf: { header: 'x-csrf-token', trustedOrigins: [] } })
  t.equal(plain.deliver(null as never), 'body')
  t.equal(readTransport({ locations: ['cookie'] }, PATHS).deliver(null as never), 'cookie')
  t.equal(readTransport({ locations: ['header', 'cookie'] }, PATHS).deliver(null as never), 'body')
  t.equal(readTransport({ locations: ['header', 'cookie'], deliver: 'cookie' }, PATHS).deliver(null as never), 'cookie')
  t.equal(readTransport({ locations: ['cookie'], deliver: 'body' }, PATHS).deliver(null as never), 'body')
})

t.test('what is wrong is refused, and the message names the option', async (t) => {
  const wrong: Record<string, unknown[]> = {
    'cookie.sameSite': ['Lax', 'no', true, null],
    'cookie.secure': ['yes', 0, 'auto', null],
    'cookie.persistent': [1, null],
    'cookie.domain': ['', '.example.com', 'example.com.', 'https://example.com', 'example.com:80', 'a b', 'x;path=/', 'é.com', 4, null],
    'cookie.accessName': ['', 'a b', 'a=b', 'a;b', 'é', 'x'.repeat(65), '__Secure-refresh_token', 4, null],
    'cookie.refreshName': ['a,b', '__Host-access_token', '__Host-x', '__hOST-x', null],
    'cookie.refreshPaths': [[], '/', [''], ['refresh'], ['/a;b'], ['/a b'], ['/é'], ['/\n'], [4], [null], null],
    'cookie.path': ['/'],
    'csrf.header': ['', 'a b', 'x:', 4, null],
    'csrf.trustedOrigins': [
      'https://app.example.com', [4], [null], ['*'], ['null'], ['app.example.com'], ['https://app.example.com/'], ['https://app.example.com:443'], ['http://app.example.com:80'], ['https://APP.example.com'],
      ['https://*.example.com'], ['https://user@app.example.com'], ['ftp://app.example.com'], ['capacitor://localhost'], ['https://'], ['https://é.com'], ['https://app.example.com/x'], ['https://[::0001]'],
      ['javascript:x'], ['https:app.example.com'], [' https://app.example.com'], [/^https/], null
    ],
    'csrf.cookie': ['x'],
    'authorization.header': ['', 'a b', null],
    'authorization.schemes': [[], 'Bearer', ['a b'], [4], ['a', 'b,'], null],
    'authorization.scheme': ['x']
  }
  for (const [option, values] of Object.entries(wrong)) {
    const [group, name] = option.split('.') as [string, string]
    for (const value of values) {
      const message = refusal({ locations: ['cookie'], [group]: { [name]: value } })
      const named = option === 'cookie.accessName' && value === '__Secure-refresh_token' ? 'cookie.refreshName' : option
      t.ok(message.startsWith(`fastify-jwt-session: ${named} `), `${option} ${String(value)}: ${message}`)
      t.match(message, /^.+ .+\. .+\.$/)
    }
  }
  for (const group of ['cookie', 'csrf', 'authorization']) {
    for (const value of [[], 'x', 4]) t.ok(refusal({ locations: ['cookie'], [group]: value }).startsWith(`fastify-jwt-session: ${group} `), `${group} ${String(value)}`)
  }
  const contradictions: [Options, string][] = [
    [{ locations: ['cookie'], cookie: { sameSite: 'none', secure: false } }, 'cookie.sameSite'],
    [{ locations: ['cookie'], cookie: { accessName: '__Host-x', secure: false } }, 'cookie.accessName'],
    [{ locations: ['cookie'], cookie: { refreshName: '__secure-x', secure: false } }, 'cookie.refreshName'],
    [{ locations: ['cookie'], cookie: { accessName: '__host-x', domain: 'example.com' } }, 'cookie.domain'],
    [{ locations: ['cookie'], cookie: { refreshName: '__Host-x', refreshPaths: ['/'], domain: 'example.com' } }, 'cookie.refreshName'],
    [{ locations: ['cookie'], cookie: { accessName: 'x', refreshName: 'x' } }, 'cookie.refreshName'],
    [{ cookie: {} }, 'cookie'], [{ csrf: {} }, 'csrf'], [{ deliver: 'cookie' }, 'deliver'], [{ deliver: () => 'body' }, 'deliver'],
    [{ locations: ['cookie'], deliver: 'header' as never }, 'deliver'],
    [{ locations: ['cookie', 'query'] }, 'locations'], [{ locations: ['body'] }, 'locations']
  ]
  for (const [options, option] of contradictions) t.ok(refusal(options).startsWith(`fastify-jwt-session: ${option} `), JSON.stringify(options))
  t.ok(refusal({ locations: ['cookie'] }, []).startsWith('fastify-jwt-session: cookie.refreshPaths '), 'there has to be a path to send it to')
})

t.test('what is right is accepted', async (t) => {
  const right: Options[] = [
    { cookie: { domain: 'example.com' } }, { cookie: { domain: 'a-b.example.co.uk' } }, { cookie: { domain: 'localhost' } },
    { cookie: { secure: false, sameSite: 'strict', persistent: false } }, { cookie: { sameSite: 'none' } },
    { cookie: { refreshName: '__Host-refresh', refreshPaths: ['/'] } }, { cookie: { refreshPaths: ['/auth/refresh', '/%C3%A9', '/a=b,c'] } },
    { cookie: { accessName: 'sid', refreshName: 'rid' } },
    { csrf: { header: 'X-Guard', trustedOrigins: ['https://app.example.com', 'http://localhost:5173', 'https://[::1]', 'https://xn--9ca.com', 'https://a.example.com.'] } },
    { authorization: { header: 'X-Access-Token', schemes: [''] } }, { authorization: { schemes: ['JWT', 'Bearer', ''] } }
  ]
  for (const options of right) t.equal(refusal({ locations: ['cookie'], ...options }), 'accepted', JSON.stringify(options))
  t.equal(refusal({ authorization: { schemes: ['JWT'] } }), 'accepted')
  t.equal(readTransport({ locations: ['cookie'], csrf: { header: 'X-Guard' } }, PATHS).csrf.header, 'x-guard')
})

t.test('options are copied', async (t) => {
  const locations: jwtSession.TokenLocation[] = ['cookie']
  const trustedOrigins = ['https://a.example.com']
  const refreshPaths = ['/a']
  const settings = readTransport({ locations, csrf: { trustedOrigins }, cookie: { refreshPaths } }, PATHS)
  locations.length = 0
  trustedOrigins.push('https://evil.example.com')
  refreshPaths[0] = '/b'
  t.same(settings.locations, ['cookie'])
  t.same(settings.csrf.trustedOrigins, ['https://a.example.com'])
  t.ok(Object.isFrozen(settings) && Object.isFrozen(settings.csrf) && Object.isFrozen(settings.locations))
  t.same(await pathsOf(settings), ['/', '/a'])
})

/** Where the cookies of an answer are sent. */
async function pathsOf ({ cookies }: TransportSettings): Promise<(string | undefined)[]> {
  const app = Fastify()
  await cookies?.prepare(app)
  const set: string[] = []
  cookies?.clear({ header: (_name: string, value: string) => set.push(value) } as unknown as FastifyReply)
  await app.close()
  return set.map((header) => /; Path=([^;]*)/.exec(header)?.[1])
}

t.test('a cookie is found by its exact name, and several of different value are a conflict', async (t) => {
  const { find, cookies } = readTransport({ locations: ['cookie'], cookie: { accessName: '__Host-a', refreshName: '__Secure-r' } }, PATHS)
  const found = (cookie: string | string[] | undefined): string | undefined => {
    try {
      return find.cookie(requestWith(cookie))
    } catch (error) {
      return (error as { code: string }).code
    }
  }
  const cases: [string | string[] | undefined, string | undefined][] = [
    [undefined, undefined], ['', undefined], [['__Host-a=1'], undefined], ['__Host-a', undefined], ['__Host-a=', undefined], ['=__Host-a', undefined],
    ['__Host-a=1', '1'], ['x=y; __Host-a=1; z=w', '1'], ['x=y;__Host-a=1', '1'], ['__Host-a=1=2==', '1=2=='], ['__Host-a="1"', '"1"'], ['__Host-a=%31', '%31'], ['__Host-a=%zz', '%zz'],
    ['__host-a=1', undefined], ['__Host-ab=1', undefined], ['x__Host-a=1', undefined], ['x=__Host-a=1', undefined], ['__Host-a =1', undefined],
    [' __Host-a=1', undefined], ['\t__Host-a=1', undefined], ['x=y;  __Host-a=1', undefined], ['\u00a0__Host-a=1', undefined], ['x=y; \u00a0__Host-a=1', undefined], ['\u2000__Host-a=1', undefined],
    ['\ufeff__Host-a=1', undefined], ['\u0085__Host-a=1', undefined], ['$Version=1; __Host-a=1', '1'],
    ['__Host-a=1; __Host-a=1', '1'], ['__Host-a=1; __Host-a=2', 'FST_JWT_SESSION_REQUEST_INVALID'], ['__Host-a=; __Host-a=2', 'FST_JWT_SESSION_REQUEST_INVALID'],
    ['__Host-a=2; __Host-a=', 'FST_JWT_SESSION_REQUEST_INVALID'], [`${'x=y; '.repeat(3000)}__Host-a=1`, '1']
  ]
  for (const [cookie, expected] of cases) t.equal(found(cookie), expected, String(cookie).slice(0, 60))
  t.equal(cookies?.findRefresh(requestWith('__Host-a=1; __Secure-r=2')), '2')
})

t.test('cookies of 4,096 bytes are set, longer ones are refused', async (t) => {
  const { cookies } = readTransport({ locations: ['cookie'] }, PATHS)
  const answer = (access: number, refresh: number) => ({ access_token: 'x'.repeat(access), refresh_token: 'x'.repeat(refresh) }) as TokenAnswer
  const [most, mostRefresh] = [4096 - '__Host-access_token'.length, 4096 - '__Secure-refresh_token'.length]
  t.doesNotThrow(() => cookies?.requireFit(answer(most, mostRefresh)))
  t.throws(() => cookies?.requireFit(answer(most + 1, 1)), { code: 'FST_JWT_SESSION_OPTION_INVALID', message: /claims make a cookie/ })
  t.throws(() => cookies?.requireFit(answer(1, mostRefresh + 1)), { code: 'FST_JWT_SESSION_OPTION_INVALID' })
})

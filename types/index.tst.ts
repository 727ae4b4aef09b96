import Fastify, { type FastifyBaseLogger, type FastifyReply, type FastifyRequest, type FastifyTypeProvider } from 'fastify'
import { Type, type Static, type TSchema } from '@sinclair/typebox'
import { describe, expect, test } from 'tstyche'
import jwtSession = require('../lib')

interface User { id: string, passwordHash: string, roles: string[] }

declare const userLookup: jwtSession.UserLookup<User>
/** As @fastify/type-provider-typebox has it. */
interface TypeBoxTypeProvider extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown
  serializer: this['schema'] extends TSchema ? Static<this['schema']> : unknown
}

interface Logger extends FastifyBaseLogger { audit (message: string): void }

declare const loggerInstance: Logger
declare const users: { byEmail (email: string): Promise<User | null>, byId (id: string): Promise<User | null> }

const { authenticate, requireClaims, anyOf, allOf } = jwtSession

describe('registration', () => {
  const app = Fastify()

  test('the user type flows from the lookup to the callbacks', () => {
    app.register(jwtSession, {
      secret: process.env.JWT_SECRET,
      userLookup: { findByUsername: (username) => users.byEmail(username), findById: (id) => users.byId(id) },
      claims: (user) => {
        expect(user).type.toBe<User>()
        return { roles: user.roles }
      },
      presentUser: (user) => {
        expect(user).type.toBe<User>()
        return { id: user.id }
      }
    })
    app.register(import('../lib/index.js'), { secret: 'x', userLookup, claims: ({ roles }) => ({ roles }) })
  })

  test('claimsSchema gives claims its type', () => {
    const claimsSchema = Type.Object({ roles: Type.Array(Type.String()) })
    app.register(jwtSession, { secret: 'x', userLookup, claimsSchema, claims: ({ roles }) => ({ roles }) })
    expect(app.register).type.not.toBeCallableWith(jwtSession, { secret: 'x', userLookup, claimsSchema, claims: () => ({ roles: 1 }) })
  })

  test('secret and userLookup are required', () => {
    expect<jwtSession.JwtSessionOptions<User>>().type.not.toBeAssignableFrom<{ secret: string }>()
    expect<jwtSession.JwtSessionOptions<User>>().type.not.toBeAssignableFrom<{ userLookup: jwtSession.UserLookup<User> }>()
    expect<jwtSession.JwtSessionOptions<User>>().type.toBeAssignableFrom<{ secret: string, userLookup: jwtSession.UserLookup<User> }>()
  })

  test('keys may stand in the place of the secret, and each has what its algorithm needs', () => {
    const pem = process.env.PRIVATE_KEY
    expect(app.register).type.toBeCallableWith(jwtSession, { userLookup, keys: [{ kid: 'a', algorithm: 'ES256' as const, privateKey: pem }] })
    expect(app.register).type.toBeCallableWith(jwtSession, { userLookup, secret: pem, keys: [{ kid: 'a', algorithm: 'HS512' as const, secret: pem }] })
    expect(app.register).type.not.toBeCallableWith(jwtSession, { userLookup })
    expect(app.register).type.not.toBeCallableWith(jwtSession, { userLookup, keys: undefined })
    expect<jwtSession.Key>().type.not.toBeAssignableFrom<{ kid: string, algorithm: 'ES256', secret: string }>()
    expect<jwtSession.Key>().type.not.toBeAssignableFrom<{ kid: string, algorithm: 'HS256', privateKey: string }>()
    expect<jwtSession.Key>().type.not.toBeAssignableFrom<{ kid: string, algorithm: 'none' }>()
    expect<jwtSession.Key>().type.not.toBeAssignableFrom<{ algorithm: 'HS256', secret: string }>()
  })

  test('a resource server says what becomes of sessions, and has no users', () => {
    const keys = [{ kid: 'a', algorithm: 'ES256' as const, publicKey: 'x' }]
    expect(app.register).type.toBeCallableWith(jwtSession, { keys, revocationStore: false })
    expect(app.register).type.toBeCallableWith(jwtSession, { jwks: { url: 'https://x' }, revocationStore: jwtSession.memoryStore() })
    expect(app.register).type.toBeCallableWith(jwtSession, { jwks: { keys: [{ kty: 'EC' }] }, revocationStore: false, audience: 'api' })
    expect(app.register).type.not.toBeCallableWith(jwtSession, { keys })
    expect(app.register).type.not.toBeCallableWith(jwtSession, { revocationStore: false })
    expect(app.register).type.not.toBeCallableWith(jwtSession, { keys, jwks: { keys: [] }, revocationStore: false })
  })

  test('header is an object, or made of the user', () => {
    expect(app.register).type.toBeCallableWith(jwtSession, { secret: 'x', userLookup, header: { tenant: 'a' } })
    app.register(jwtSession, { secret: 'x', userLookup, header: (user, { reason }) => ({ roles: user.roles.length, reason }) })
    expect(app.register).type.not.toBeCallableWith(jwtSession, { secret: 'x', userLookup, header: 'x' })
  })

  test('locations, and what travels in them', () => {
    const choose: jwtSession.ChooseDelivery = ({ headers }) => headers['x-client'] === 'app' ? 'body' : 'cookie'
    app.register(jwtSession, {
      secret: 'x',
      userLookup,
      locations: ['header', 'cookie'],
      authorization: { header: 'x-token', schemes: [''] },
      deliver: choose,
      cookie: { sameSite: 'strict', refreshPaths: ['/a'], secure: false },
      csrf: { header: 'x-guard', trustedOrigins: ['https://app.example.com'] },
      loadUser: 'lazy'
    })
    expect<jwtSession.CookieOptions>().type.not.toBeAssignableFrom<{ sameSite: 'Lax' }>()
    expect<jwtSession.CookieOptions>().type.not.toBeAssignableFrom<{ maxAge: number }>()
    expect<jwtSession.ChooseDelivery>().type.not.toBeAssignableFrom<() => Promise<'body'>>()
    expect<jwtSession.JwtSessionOptions<User>['locations']>().type.not.toBeAssignableFrom<'cookie'>()
  })

  test('passwords and throttle', () => {
    const passwords = jwtSession.scryptPasswords({ also: jwtSession.bcryptPasswords({ cost: 12, threads: 2, queue: 10 }) })
    expect(passwords).type.toBe<Required<jwtSession.Passwords>>()
    expect<jwtSession.Passwords>().type.toBeAssignableFrom<{ hash (password: string): string, verify (password: string, passwordHash: string): boolean }>()
    expect<jwtSession.Passwords>().type.not.toBeAssignableFrom<{ verify (password: string, passwordHash: string): boolean }>()
    app.register(jwtSession, { secret: 'x', userLookup, passwords, throttle: { account: { attempts: 5, window: '1h' }, address: false } })
    app.register(jwtSession, { secret: 'x', userLookup: { ...userLookup, updatePasswordHash: async ({ roles }, passwordHash) => { [...roles, passwordHash].join() } }, throttle: false })
    expect(app.register).type.not.toBeCallableWith(jwtSession, { secret: 'x', userLookup, throttle: { account: { max: 5 } } })
  })

  test('other plugins keep their own types', () => {
    app.register(async (child, options) => {
      expect(options).type.toBe<{ name: string }>()
      child.get('/', () => 'x')
    }, { name: 'x' })
  })
})

describe('guards', () => {
  const app = Fastify()

  test('fit every place that takes a hook', () => {
    app.get('/', { onRequest: [app.authenticate] }, (request) => request.auth.subject)
    app.get('/', { onRequest: app.authenticate, preHandler: [app.requireClaims({ role: 'x' })] }, () => '')
    app.get('/', { preValidation: authenticate({ fresh: true }), preParsing: [], preHandler: requireClaims({ role: 'x' }) }, () => '')
    app.route({ method: 'GET', url: '/', onRequest: [async () => {}, app.authenticate({ maxAge: '10m' })], handler: () => '' })
    app.addHook('onRequest', app.authenticate)
    app.addHook('preHandler', requireClaims({ role: 'x' }))
    app.get<{ Params: { id: string } }>('/:id', { onRequest: [app.authenticate] }, (request) => request.params.id)
    Fastify({ http2: true }).get('/', { onRequest: [authenticate] }, () => '')
    Fastify({ https: {} }).get('/', { onRequest: [authenticate] }, () => '')
  })

  test('fit every place that takes a hook, on every server, with every logger and type provider', () => {
    const guards = [authenticate, authenticate({ locations: ['cookie'], loadUser: true }), requireClaims({ role: 'x' })]
    const everywhere = { onRequest: guards, preParsing: guards, preValidation: guards, preHandler: guards }
    const schema = { querystring: Type.Object({ page: Type.Integer() }), body: Type.Object({ name: Type.String() }), headers: Type.Object({ 'x-a': Type.String() }) }

    const plain = Fastify()
    plain.get('/', everywhere, () => '')
    plain.addHook('onRequest', plain.authenticate({ audience: 'x' }))
    plain.addHook('preParsing', authenticate)
    plain.addHook('preValidation', authenticate)
    plain.post<{ Body: { name: string }, Querystring: { page: number }, Headers: { 'x-a': string } }>('/', { preHandler: [plain.authenticate] }, ({ body }) => body.name)

    const typed = Fastify({ loggerInstance }).withTypeProvider<TypeBoxTypeProvider>()
    typed.post('/', { schema, ...everywhere }, ({ body, query, log, auth }) => {
      expect(body.name).type.toBe<string>()
      expect(query.page).type.toBe<number>()
      log.audit(auth.subject)
      return ''
    })
    typed.route({ method: 'POST', url: '/', schema, onRequest: [authenticate], preHandler: typed.requireClaims({ role: 'x' }), handler: ({ body }) => body.name })
    typed.addHook('onRequest', typed.authenticate)

    const http2 = Fastify({ http2: true, loggerInstance }).withTypeProvider<TypeBoxTypeProvider>()
    http2.post('/', { schema, ...everywhere }, ({ body }) => body.name)
    http2.addHook('preHandler', http2.authenticate({ loadUser: 'lazy' }))
    Fastify({ http2: true, https: {} }).get('/', everywhere, () => '')
    Fastify({ https: {} }).get('/', everywhere, () => '')
  })

  test('can be awaited', () => {
    const request = {} as FastifyRequest
    expect(app.authenticate(request, {})).type.toBe<Promise<void>>()
    expect(app.requireClaims({ role: 'x' })(request, {})).type.toBe<Promise<void>>()
  })

  test('do not take what means nothing', () => {
    expect(app.authenticate).type.not.toBeCallableWith({ fesh: true })
    expect(app.authenticate).type.not.toBeCallableWith({ optional: 'yes' })
    expect(app.authenticate).type.toBeCallableWith({ locations: ['header', 'cookie', 'query', 'body'] })
    expect(app.authenticate).type.not.toBeCallableWith({ locations: ['cookies'] })
    expect(app.authenticate).type.not.toBeCallableWith({ locations: 'cookie' })
    expect(app.authenticate).type.toBeCallableWith({ loadUser: 'lazy', audience: 'x' })
    expect(app.authenticate).type.not.toBeCallableWith({ loadUser: 'eager' })
    expect(app.authenticate).type.not.toBeCallableWith({ audience: ['x'] })
    expect(app.requireClaims).type.not.toBeCallableWith('admin')
    expect(app.requireClaims).type.not.toBeCallableWith({ role: undefined })
    expect(app.requireClaims).type.toBeCallableWith({ role: anyOf('a', 'b'), n: allOf(1, 2), p: (n: number) => n > 1, org: { plan: 'pro' } })
  })

  test('requirements follow the claims when these have a type', () => {
    interface Claims { roles: string[], level?: number, org: { plan: 'free' | 'pro' } }
    type Requirements = Parameters<(requirements: import('./guards').ClaimRequirements<Claims>) => void>[0]
    expect<Requirements>().type.toBeAssignableFrom<{ roles: 'admin' }>()
    expect<Requirements>().type.toBeAssignableFrom<{ roles: jwtSession.ClaimChoice<string>, level: 3 }>()
    expect<Requirements>().type.toBeAssignableFrom<{ org: { plan: 'pro' } }>()
    expect<Requirements>().type.toBeAssignableFrom<{ roles: (roles: string[]) => boolean }>()
    expect<Requirements>().type.not.toBeAssignableFrom<{ rolls: 'admin' }>()
    expect<Requirements>().type.not.toBeAssignableFrom<{ roles: 1 }>()
    expect<Requirements>().type.not.toBeAssignableFrom<{ org: { plan: 'gold' } }>()
  })
})

describe('what the plugin adds', () => {
  const app = Fastify()

  test('request.auth and app.jwtSession', () => {
    const request = {} as FastifyRequest
    expect(request.auth).type.toBe<jwtSession.Auth>()
    expect(request.auth.claims.exp).type.toBe<number>()
    expect(request.auth.claims.roles).type.toBe<unknown>()
    expect(request.auth.source).type.toBe<jwtSession.TokenLocation | null>()
    expect(request.auth.user).type.toBe<jwtSession.SessionUser | undefined>()
    expect(request.auth.loadUser?.()).type.toBe<Promise<jwtSession.SessionUser> | undefined>()
    expect(app.jwtSession.login({ id: '1', passwordHash: '' })).type.toBe<Promise<jwtSession.TokenAnswer>>()
    expect(app.jwtSession.events.on).type.toBeCallableWith('session.reused', (event: { presented: number }) => event)
    expect(app.jwtSession.events.on).type.not.toBeCallableWith('session.stolen', () => {})
    app.jwtSession.events.on('request.refused', ({ code, statusCode, route }) => {
      expect(code).type.toBe<jwtSession.SessionErrorCode>()
      expect(statusCode).type.toBe<number>()
      expect(route).type.toBe<string | null>()
    })
    app.jwtSession.events.on('store.called', (call) => {
      expect(call).type.toBe<jwtSession.StoreCall>()
      expect(call.operation).type.toBe<'read' | 'write' | 'list'>()
      expect(call.outcome).type.toBe<'answered' | 'failed'>()
    })
    expect(app.jwtSession.memory()).type.toBe<jwtSession.SessionMemory>()
    expect(app.jwtSession.memory().isTrusted).type.toBe<boolean | null>()
    expect(app.jwtSession.memory).type.not.toBeCallableWith('x')
  })

  test('a login of the application is delivered like any other', async () => {
    const tokens = await app.jwtSession.login({ id: '1', passwordHash: '' }, {} as FastifyRequest)
    expect(app.jwtSession.deliver({} as FastifyReply, tokens)).type.toBe<object>()
    expect(app.jwtSession.clearCookies({} as FastifyReply)).type.toBe<void>()
  })

  test('errors are a closed union', () => {
    const error: unknown = null
    if (jwtSession.isSessionError(error)) expect(error.code).type.toBe<jwtSession.SessionErrorCode>()
    expect<jwtSession.SessionErrorCode>().type.not.toBeAssignableFrom<'FST_JWT_SESSION_NOPE'>()
  })

  test('a store is a dozen lines', () => {
    expect<jwtSession.RevocationStore>().type.toBeAssignableFrom<ReturnType<typeof jwtSession.memoryStore>>()
    expect<jwtSession.RevocationStore>().type.not.toBeAssignableFrom<{ read (): [] }>()
  })
})

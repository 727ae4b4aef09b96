import { Type, type TObject, type TSchema } from '@sinclair/typebox'

/** What a client types: never empty, never a NUL, which hashes and databases cut at. */
function text (maxLength: number): TSchema {
  return Type.String({ minLength: 1, maxLength, pattern: '^[^\\u0000]*$' })
}

/** Far above every token that is issued; what is longer is no token. */
const RefreshToken = Type.String({ minLength: 1, maxLength: 8192, description: 'The refresh token of the session.' })

/** A body with what the application wants beside. Members that nobody names are allowed and ignored. */
const extended = (own: TObject, more: TObject | undefined): TObject =>
  more === undefined ? own : Type.Object({ ...own.properties, ...more.properties })

/** `POST /login` and `POST /register`. */
export const credentialsBody = (usernameField: string, more?: TObject): TObject =>
  extended(Type.Object({ [usernameField]: text(256), password: text(1024) }), more)

/** `POST /refresh`. Where the token may also be in a cookie, the body may be left out. */
export const refreshBody = (isOptional: boolean, more?: TObject): TSchema => isOptional
  ? Type.Union([extended(Type.Object({ refresh_token: Type.Optional(RefreshToken) }), more), Type.Null()])
  : extended(Type.Object({ refresh_token: RefreshToken }), more)

/** `POST /logout`: the body may be left out. */
export const logoutBody = (more?: TObject): TSchema => Type.Union([
  extended(Type.Object({
    refresh_token: Type.Optional(RefreshToken),
    everywhere: Type.Optional(Type.Boolean({ description: 'Ends all sessions of the subject; needs a valid access token.' }))
  }), more),
  Type.Null()
])

/** The header that refresh and logout read where there are cookies. */
export const csrfHeader = (name: string): TObject => Type.Object({
  [name]: Type.Optional(Type.String({ description: 'The csrf_token of the last token answer. Browsers need not send it.' }))
})

/** The headers that logout reads. */
export const logoutHeaders = (csrfName: string | undefined): TObject => Type.Object({
  authorization: Type.Optional(Type.String({ description: 'Bearer, and the access token, expired or not.' })),
  ...(csrfName === undefined ? {} : csrfHeader(csrfName).properties)
})

/** The answer that carries tokens (RFC 6749 section 5.1). */
export const tokenAnswer = Type.Object({
  access_token: Type.String(),
  token_type: Type.Literal('Bearer'),
  expires_in: Type.Integer({ description: 'Seconds that the access token lasts.' }),
  refresh_token: Type.String(),
  refresh_expires_in: Type.Integer({ description: 'Seconds that the refresh token lasts.' }),
  user: Type.Optional(Type.Any({ description: 'What the application tells of the user.' }))
})

/** The answer whose tokens are in cookies. */
export const cookieAnswer = Type.Object({
  token_type: Type.Literal('Bearer'),
  expires_in: tokenAnswer.properties.expires_in,
  refresh_expires_in: tokenAnswer.properties.refresh_expires_in,
  // Sessions that were opened before there were cookies have none.
  csrf_token: Type.Optional(Type.String({ description: 'To be repeated in a header by requests that change something.' })),
  user: tokenAnswer.properties.user
})

/** `GET /sessions`. Times are epoch seconds. */
export const sessionsAnswer = Type.Array(Type.Object({
  id: Type.String(),
  current: Type.Boolean({ description: 'Whether it is the session of this request.' }),
  created_at: Type.Integer(),
  last_seen_at: Type.Integer({ description: 'When its tokens were last renewed.' }),
  expires_at: Type.Integer({ description: 'When it ends unless its tokens are renewed.' }),
  user_agent: Type.Optional(Type.String()),
  ip: Type.Optional(Type.String())
}))

/** The path of one session. */
export const sessionParams = Type.Object({ id: Type.String({ maxLength: 64 }) })

/** Public keys (RFC 7517 section 5). */
export const jwkSet = Type.Object({
  keys: Type.Array(Type.Object({
    kty: Type.String(),
    kid: Type.String(),
    alg: Type.String(),
    use: Type.Literal('sig')
  }, { additionalProperties: { type: 'string' } as unknown as TSchema, description: 'With the public members of its kind.' }))
})

/** An answer without a body. */
export const emptyAnswer = Type.Null()

/** An error, with all its members optional and others allowed: an error handler of the application may answer otherwise. */
export const errorAnswer = Type.Partial(Type.Object({
  statusCode: Type.Integer(),
  code: Type.String(),
  error: Type.String(),
  message: Type.String()
}), { additionalProperties: true })

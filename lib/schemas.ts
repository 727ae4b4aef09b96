import { Type, type TObject, type TSchema } from '@sinclair/typebox'

/** What a client types: never empty, never a NUL, which hashes and databases cut at. */
function text (maxLength: number): TSchema {
  return Type.String({ minLength: 1, maxLength, pattern: '^[^\\u0000]*$' })
}

/** Far above every token that is issued; what is longer is no token. */
const RefreshToken = Type.String({ minLength: 1, maxLength: 8192, description: 'The refresh token of the session.' })

/** `POST /login`. Members that are not named here are allowed and ignored. */
export const loginBody = (usernameField: string): TSchema =>
  Type.Object({ [usernameField]: text(256), password: text(1024) })

/** `POST /refresh`. */
export const refreshBody = Type.Object({ refresh_token: RefreshToken })

/** `POST /refresh`, where the token may also be in a cookie: the body may be left out. */
export const refreshBodyOrCookie = Type.Union([Type.Partial(refreshBody), Type.Null()])

/** `POST /logout`: the body may be left out. */
export const logoutBody = Type.Union([
  Type.Object({
    refresh_token: Type.Optional(RefreshToken),
    everywhere: Type.Optional(Type.Boolean({ description: 'Ends all sessions of the subject; needs a valid access token.' }))
  }),
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

/** An answer without a body. */
export const emptyAnswer = Type.Null()

/** An error, with all its members optional and others allowed: an error handler of the application may answer otherwise. */
export const errorAnswer = Type.Partial(Type.Object({
  statusCode: Type.Integer(),
  code: Type.String(),
  error: Type.String(),
  message: Type.String()
}), { additionalProperties: true })

import { Type, type TSchema } from '@sinclair/typebox'

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

/** `POST /logout`: the body may be left out. */
export const logoutBody = Type.Union([
  Type.Object({
    refresh_token: Type.Optional(RefreshToken),
    everywhere: Type.Optional(Type.Boolean({ description: 'Ends all sessions of the subject; needs a valid access token.' }))
  }),
  Type.Null()
])

/** The header that logout reads. */
export const authorizationHeader = Type.Object({
  authorization: Type.Optional(Type.String({ description: 'Bearer, and the access token, expired or not.' }))
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

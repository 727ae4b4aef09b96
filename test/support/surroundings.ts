import ts from 'typescript'

/** What the programs of README and of doc comments take for granted: files that stand beside them, by name. */
export const surroundings = {
  'application.d.mts': `
    import type { FastifyInstance } from 'fastify'
    import type { JwtSessionOptions, SessionUser, UserLookup } from 'fastify-jwt-session'

    declare global {
      interface DbUser extends SessionUser { roles: string[] }
      const jwtSession: typeof import('fastify-jwt-session').default
      const app: FastifyInstance
      const options: JwtSessionOptions<DbUser>
      const userLookup: UserLookup<DbUser>
      const db: { users: {
        byEmail (email: string): Promise<DbUser | null>
        byId (id: string): Promise<DbUser | null>
        insert (user: object): Promise<DbUser | null>
        setPasswordHash (id: string, passwordHash: string): Promise<void>
      } }
      const pool: { query<Row> (sql: string, values: unknown[]): Promise<{ rows: Row[] }> }
      function alarm (message: string): void
      function userOfCallback (request: import('fastify').FastifyRequest): Promise<DbUser>
      function mail (address: string, text: string): Promise<void>
      function emptyDatabase (): Promise<{ connect (): object, close (): void }>
      function buildApp (): Promise<FastifyInstance>
      const admin: SessionUser
      const reader: SessionUser
      const localStorage: import('fastify-jwt-session/client').TokenStorage
      function showLogin (): void
      function myStore (connection: object): import('fastify-jwt-session').RevocationStore
    }
    declare module 'fastify' {
      interface FastifyContextConfig { rateLimit?: { max: number, timeWindow: string } }
    }
  `,
  'rate-limit.d.ts': `
    declare module '@fastify/rate-limit' {
      const rateLimit: import('fastify').FastifyPluginAsync<{ global: boolean }>
      export default rateLimit
    }
  `,
  'hashes.d.ts': `
    declare module 'argon2' {
      const argon2: {
        hash (password: string): Promise<string>
        verify (digest: string, password: string): Promise<boolean>
        needsRehash (digest: string): boolean
      }
      export default argon2
    }
    declare module 'bcrypt' {
      const bcrypt: {
        hash (password: string, rounds: number): Promise<string>
        compare (password: string, hash: string): Promise<boolean>
        getRounds (hash: string): number
      }
      export default bcrypt
    }
  `
}

/** The faults that the compiler finds in a program of several files, as an application would have it configured. */
export function faultsOf (files: string[]): string[] {
  const program = ts.createProgram(files, {
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    types: ['node'],
    skipLibCheck: true,
    noEmit: true
  })
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) =>
    `${file?.fileName}:${start}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`)
}

import { randomUUID } from 'node:crypto'
import { bcryptPasswords, type SessionUser, type UserLookup } from 'fastify-jwt-session'

export interface DemoUser extends SessionUser {
  username: string
  roles: string[]
}

/** Who is there from the start. The page shows these passwords: a demo has no secrets. */
export const seeds = [
  { username: 'alice', password: 'wonderland', roles: ['admin', 'editor'] },
  { username: 'bob', password: 'builder', roles: ['reader'] }
]

/** Users in the memory of the process. Whoever registers becomes a reader. */
export async function demoUsers (): Promise<UserLookup<DemoUser>> {
  const { hash } = bcryptPasswords()
  const users: DemoUser[] = []
  for (const { username, password, roles } of seeds) {
    users.push({ id: username, username, passwordHash: await hash(password), roles })
  }
  const findByUsername = (username: string): DemoUser | undefined => users.find((user) => user.username === username)

  return {
    findByUsername,
    findById: (id) => users.find((user) => user.id === id),
    create ({ username, passwordHash }) {
      // Another registration may have taken the name while the password was being hashed.
      if (findByUsername(String(username)) !== undefined) return null
      const user = { id: randomUUID(), username: String(username), passwordHash, roles: ['reader'] }
      users.push(user)
      return user
    }
  }
}

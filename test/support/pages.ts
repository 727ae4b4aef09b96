import type { Test } from 'tap'
import type { TokenStorage } from '../../lib/client'

type Listener = (event: { key: string }) => void

/** Pages of one origin: what they store is shared, each is told what another one stores, and they have locks. */
export interface Pages {
  /** Runs what a page does when it is loaded. */
  load<Loaded> (run: (storage: TokenStorage) => Loaded): Loaded
  /** What is stored. */
  stored: Map<string, string>
  /** How many locks were asked for. */
  locks (): number
}

/** Gives this process, for one test, what is global in a page. */
export function pages (t: Test, { href, hasLocks = true }: { href?: string, hasLocks?: boolean } = {}): Pages {
  const stored = new Map<string, string>()
  const listeners: { page: object, listen: Listener }[] = []
  const tails = new Map<string, Promise<unknown>>()
  let page = {}
  let locks = 0

  function provide (name: string, value: unknown): void {
    const own = Object.getOwnPropertyDescriptor(globalThis, name)
    Object.defineProperty(globalThis, name, { configurable: true, writable: true, value })
    t.teardown(() => {
      if (own === undefined) Reflect.deleteProperty(globalThis, name)
      else Object.defineProperty(globalThis, name, own)
    })
  }

  async function request<Answer> (name: string, run: () => Promise<Answer>): Promise<Answer> {
    locks++
    const tail = tails.get(name) ?? Promise.resolve()
    const result = tail.then(run)
    tails.set(name, result.catch(() => {}))
    return await result
  }

  if (href !== undefined) provide('location', { href })
  provide('navigator', hasLocks ? { locks: { request } } : {})
  provide('addEventListener', (_name: string, listen: Listener) => { listeners.push({ page, listen }) })

  return {
    stored,
    locks: () => locks,
    load (run) {
      const own = page = {}
      return run({
        getItem: (key) => stored.get(key) ?? null,
        setItem (key, value) {
          if (stored.get(key) === value) return
          stored.set(key, value)
          for (const { page: other, listen } of listeners) if (other !== own) listen({ key })
        }
      })
    }
  }
}

/** What becomes of a request: `go` sends it on. */
export type Fate = (go: () => Promise<Response>, request: Request) => Response | Promise<Response>

/** What lies between a client and its server: it counts, delays and loses. */
export interface Network {
  fetch: typeof fetch
  /** How many requests for a path have been made. */
  count (path: string): number
  /** Decides on the next requests for a path, one by one, before those that follow pass again. */
  next (path: string, ...fates: Fate[]): void
}

export function network (): Network {
  const counts = new Map<string, number>()
  const fates = new Map<string, Fate[]>()
  return {
    count: (path) => counts.get(path) ?? 0,
    next: (path, ...more) => { fates.set(path, [...fates.get(path) ?? [], ...more]) },
    async fetch (input, init) {
      const request = new Request(input, init)
      const { pathname } = new URL(request.url)
      counts.set(pathname, (counts.get(pathname) ?? 0) + 1)
      const go = () => fetch(request)
      return await (fates.get(pathname)?.shift()?.(go, request) ?? go())
    }
  }
}

/** The server gets the request, and its answer never arrives. */
export const lost: Fate = async (go) => {
  await go()
  throw new TypeError('fetch failed')
}

/** Nothing arrives. */
export const unreachable: Fate = () => { throw new TypeError('fetch failed') }

/** Somebody else answers. */
export const answered = (status: number, body: object | string = {}): Fate => () =>
  new Response(typeof body === 'string' ? body : JSON.stringify(body), { status })

/** Waits until it is let go on, before or after the server gets the request. */
export function held (when: 'before' | 'after'): { fate: Fate, reached: Promise<void>, release (): void } {
  let release = () => {}
  let reach = () => {}
  const released = new Promise<void>((resolve) => { release = resolve })
  const reached = new Promise<void>((resolve) => { reach = resolve })
  return {
    reached,
    release: () => release(),
    async fate (go) {
      if (when === 'before') {
        reach()
        await released
        return await go()
      }
      const answer = await go()
      reach()
      await released
      return answer
    }
  }
}

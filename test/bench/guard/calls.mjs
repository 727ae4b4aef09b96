import { get } from 'node:http'
import { performance } from 'node:perf_hooks'

/**
 * Requests as guards get them: `count` real ones of one application, kept. `carry` gives them new tokens, as strings that nobody
 * has looked at yet: what the parser of a server makes has no hash that a look-up could use.
 */
export async function keptRequests (app, count) {
  const kept = []
  app.get('/kept', (request) => {
    kept.push(request)
    return {}
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address()
  for (let number = 0; number < count; number++) {
    await new Promise((resolve, reject) => {
      get({ port, host: '127.0.0.1', path: '/kept', headers: { authorization: 'Bearer none' } }, (response) => response.resume().on('end', resolve)).on('error', reject)
    })
  }
  return {
    kept,
    carry (tokens) {
      for (const [index, request] of kept.entries()) {
        const line = freshString(`Bearer ${tokens[index]}`)
        const { headers, rawHeaders } = request.raw
        headers.authorization = line
        rawHeaders[rawHeaders.findIndex((name) => name.toLowerCase() === 'authorization') + 1] = line
        request.auth = null
      }
    }
  }
}

/** A flat string of its own. */
export function freshString (text) {
  return Buffer.from(text, 'latin1').latin1Slice()
}

/** Nanoseconds of CPU that some work takes: those of this process, so that it does not matter who else wants the core. */
export function cpuOf (work) {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) * 1000
}

/** Calls a guard on each of the requests; answers nanoseconds a call. Throws if one is refused, or not answered at once. */
export function timeGuard (guard, kept) {
  let passed = 0
  const done = (error) => {
    if (error !== undefined) throw error
    passed++
  }
  const used = cpuOf(() => { for (let index = 0; index < kept.length; index++) guard(kept[index], null, done) })
  if (passed !== kept.length) throw new Error('A guard did not answer at once')
  return used / kept.length
}

/** The same, each call by itself, by the clock. */
export function timeEachGuard (guard, kept) {
  const done = (error) => { if (error !== undefined) throw error }
  return kept.map((request) => {
    const start = performance.now()
    guard(request, null, done)
    return (performance.now() - start) * 1e6
  })
}

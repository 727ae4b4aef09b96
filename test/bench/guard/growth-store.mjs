import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { cpuOf, keptRequests, timeEachGuard, timeGuard } from './calls.mjs'
import { serve } from './process.mjs'
import { guards, SECRET, TOKENS, userOf } from './settings.mjs'
import { quantile } from './statistics.mjs'
import { createApp } from './targets/jwt-session.mjs'
import { tokenMaker } from './tokens.mjs'

const ALGORITHM = 'HS256'
const ID_LENGTH = 22
const BATCHES = 10
const LOOK_BATCHES = 20
const LOOKS = 1000
const DEVICE = {
  userAgent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0 Safari/537.360',
  ip: '203.0.113.17'
}

let measure

/** Fills a memory store with sessions, under the plugin, and weighs it. */
async function open ({ size }) {
  let store
  const written = []
  const wrap = (opened) => {
    store = opened
    return { ...opened, write: (record, expected) => written.push(record) > 0 && opened.write(record, expected) }
  }
  const { app, tokens } = await createApp({ algorithm: ALGORITHM, key: SECRET, sessions: 1, wrap })
  // The records of real logins differ in their names only.
  const [login] = written.splice(0)
  const pattern = { ...login, state: { ...login.state, device: DEVICE } }
  const ids = Buffer.alloc(ID_LENGTH * size, 'latin1')
  const idAt = (number) => ids.latin1Slice(number * ID_LENGTH, (number + 1) * ID_LENGTH)
  const refAt = (number) => ({ id: idAt(number), subject: userOf(number).id })

  globalThis.gc()
  const before = process.memoryUsage().heapUsed
  for (let number = 0; number < size; number++) {
    const id = randomBytes(16).toString('base64url')
    ids.write(id, number * ID_LENGTH, 'latin1')
    store.write({ ...pattern, id, subject: userOf(number).id }, 0)
  }
  globalThis.gc()
  const bytes = (process.memoryUsage().heapUsed - before) / size

  const make = tokenMaker(tokens[0], ALGORITHM, SECRET)
  const { kept, carry } = await keptRequests(app, TOKENS)
  const guard = guards['one claim'](app)
  const anywhere = () => Math.floor(Math.random() * size)
  const newTokens = () => Array.from({ length: TOKENS }, () => {
    const { id, subject } = refAt(anywhere())
    return make({ sid: id, sub: subject })
  })
  // Remembered tokens of sessions that lie anywhere.
  const remembered = newTokens()

  function guarded (nextTokens) {
    const times = []
    const each = []
    for (let batch = 0; batch < BATCHES; batch++) {
      carry(nextTokens())
      times.push(timeGuard(guard, kept))
      carry(nextTokens())
      each.push(...timeEachGuard(guard, kept))
    }
    return [quantile(times, 0.5), quantile(each, 0.99)]
  }

  measure = () => {
    const newRefs = () => Array.from({ length: LOOKS }, () => [refAt(anywhere())])
    const each = []
    const looks = Array.from({ length: LOOK_BATCHES }, () => {
      const refs = newRefs()
      const used = cpuOf(() => {
        for (const ref of refs) if (store.read(ref).length !== 1) throw new Error('A session is missing')
      })
      for (const ref of newRefs()) {
        const since = performance.now()
        store.read(ref)
        each.push((performance.now() - since) * 1e6)
      }
      return used / LOOKS
    })
    const [seen, seenP99] = guarded(() => remembered)
    const [unseen, unseenP99] = guarded(newTokens)
    return { look: quantile(looks, 0.5), lookP99: quantile(each, 0.99), seen, seenP99, unseen, unseenP99 }
  }
  return { bytes }
}

serve({ open, measure: () => measure() })

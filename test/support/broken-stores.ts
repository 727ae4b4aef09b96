import { announce, copy, sharedStore, turn, type Storage } from './shared-store'
import type { RevocationStore, SessionRecord, WatchHandlers } from '../../types'

interface BrokenStore {
  /** A handle that is wrong in one way. */
  open (storage: Storage): RevocationStore
  /** The test of the kit that names the fault. */
  fails: string
  /** Other tests that cannot but fail with it. */
  also?: readonly string[] | 'whatever lists'
  /** How long a test of the kit waits; only those that wait in vain need it short. */
  timeoutMs?: number
}

/** Writes over `expected` if `isAllowed`, in one step. */
function writingIf (storage: Storage, isAllowed: (current: SessionRecord | undefined, expected: number, next: SessionRecord) => boolean): RevocationStore['write'] {
  return async (record, expected) => {
    const next = copy(record)
    await turn()
    if (!isAllowed(storage.records.get(next.id), expected, next)) return false
    storage.records.set(next.id, next)
    if (next.revoked) announce(storage, next.id)
    return true
  }
}

/** A handle whose records are changed on the way in. */
function changing (storage: Storage, change: (record: SessionRecord) => SessionRecord): RevocationStore {
  const store = sharedStore(storage)
  return { ...store, write: (record, expected) => store.write(change(record), expected) }
}

const CREATED_ONCE = 'a session is created once'
const OLDER = 'a write that expects an older revision is refused and changes nothing'
const NEWER = 'a write that expects a newer revision is refused and changes nothing'
const NONE = 'a write that expects a record where there is none is refused and creates none'
const CREATIONS = 'of many creations of one session at once exactly one is acknowledged'
const ROTATIONS = 'of many writes over one revision at once exactly one is acknowledged'
const RIVALS = 'of a rotation and a revocation at once exactly one is acknowledged, and the other does not happen'
const TURNS = 'handles that read and write in turns never lose a write'
const READABLE = 'a write that was acknowledged is read by every handle'
const REVOKED = 'a revoked session is read as live by no handle'
const UNLISTED = 'a session is not listed once it is revoked, and the others of its subject still are'
const LARGEST = 'a state of 2 KiB comes back as it was written'
const CHARACTERS = 'ids and subjects of any characters name their own session only'
const INHERITED = 'ids and subjects that every object has as members name their own session only'
const IDS = 'ids that differ in case, spaces or Unicode form name different sessions'
const SUBJECTS = 'subjects that differ in case, spaces or Unicode form are different subjects'
const LONG = 'ids and subjects of 256 characters are kept whole'
const TOGETHER = 'an id and a subject that run together name one session only'
const EXPIRED = 'an expired session is left out or answered as it was, and no call fails'
const EXPIRES = 'a session that expires takes no other session of its subject with it'
const PRUNE_LIVE = 'prune deletes no session that has not expired'
const PRUNE_LIMIT = 'prune deletes up to `limit` expired sessions and answers how many, until none is left'
const PRUNE_AT_ONCE = 'handles that prune at once delete each expired session once'
const ANNOUNCED = 'a revocation by any handle is announced to every handle'
const EARLY = 'no revocation is announced before read shows it'
const PING = 'a ping resolves only after every revocation acknowledged before it was announced'
const ONLY = 'no session is announced that is not revoked'
const CLOSED = 'a closed watch hears nothing more, and the others still do'
const RESET = 'a link that was reset comes back and tells of what is revoked from then on'

export const brokenStores: Readonly<Record<string, BrokenStore>> = {
  'announces nothing': {
    open (storage) {
      const store = sharedStore(storage)
      return { ...store, watch: (on) => store.watch({ ...on, revoked () {} }) }
    },
    timeoutMs: 8000,
    fails: ANNOUNCED,
    also: [EARLY, PING, ONLY, CLOSED, RESET]
  },
  'announces only what its own handle wrote': {
    open (storage) {
      const store = sharedStore(storage)
      const own = new Set<string>()
      return {
        ...store,
        write (record, expected) {
          own.add(record.id)
          return store.write(record, expected)
        },
        watch: (on) => store.watch({ ...on, revoked: (ids) => { if (ids.every((id) => own.has(id))) on.revoked(ids) } })
      }
    },
    timeoutMs: 8000,
    fails: ANNOUNCED,
    also: [EARLY, PING, ONLY, CLOSED, RESET]
  },
  'never becomes ready': {
    open (storage) {
      const store = sharedStore(storage)
      return { ...store, watch: (on) => store.watch({ ...on, ready () {} }) }
    },
    timeoutMs: 8000,
    fails: 'a watch becomes ready and its link answers a ping',
    also: [ANNOUNCED, EARLY, PING, ONLY, CLOSED, RESET]
  },
  'compares nothing': {
    open: (storage) => ({ ...sharedStore(storage), write: writingIf(storage, (current) => !current?.revoked) }),
    fails: OLDER,
    also: [CREATED_ONCE, NEWER, NONE, CREATIONS, ROTATIONS, RIVALS, TURNS, EXPIRED, ONLY]
  },
  'accepts what expects less than is stored': {
    open: (storage) => ({
      ...sharedStore(storage),
      write: writingIf(storage, (current, expected) => !current?.revoked && (current?.revision ?? 0) >= expected && (expected > 0 || current === undefined))
    }),
    fails: OLDER,
    also: [ROTATIONS, RIVALS, TURNS, ONLY]
  },
  'accepts what expects more than is stored': {
    open: (storage) => ({ ...sharedStore(storage), write: writingIf(storage, (current, expected) => !current?.revoked && (current === undefined ? expected === 0 : current.revision <= expected && expected > 0)) }),
    fails: NEWER,
    also: [EXPIRED]
  },
  'creates what should be written over': {
    open: (storage) => ({
      ...sharedStore(storage), write: writingIf(storage, (current, expected) => !current?.revoked && (current === undefined || current.revision === expected))
    }),
    fails: NONE
  },
  'creates over what is there': {
    open: (storage) => ({ ...sharedStore(storage), write: writingIf(storage, (current, expected) => !current?.revoked && (expected === 0 || current?.revision === expected)) }),
    fails: CREATED_ONCE,
    also: [OLDER, CREATIONS]
  },
  'lets a revoked session be written over': {
    open: (storage) => ({ ...sharedStore(storage), write: writingIf(storage, (current, expected) => (current?.revision ?? 0) === expected) }),
    fails: 'a revoked session is never made live again'
  },
  'compares in one step and writes in another': {
    open (storage) {
      const store = sharedStore(storage)
      const write = writingIf(storage, () => true)
      return {
        ...store,
        async write (record, expected) {
          const [current] = await store.read([record])
          return (current?.revision ?? 0) === expected && !current?.revoked && await write(record, expected)
        }
      }
    },
    fails: ROTATIONS,
    also: [CREATIONS, RIVALS, TURNS]
  },
  'announces what it refused': {
    open (storage) {
      const store = sharedStore(storage)
      return {
        ...store,
        async write (record, expected) {
          if (record.revoked && storage.records.get(record.id)?.revision !== expected) announce(storage, record.id)
          return await store.write(record, expected)
        }
      }
    },
    fails: ONLY
  },
  'merges states': {
    open (storage) {
      return changing(storage, (record) => {
        const current = storage.records.get(record.id)
        return { ...record, state: { ...current?.state, ...record.state, device: { ...current?.state.device, ...record.state.device } } }
      })
    },
    fails: 'a write replaces the whole record',
    also: [ROTATIONS]
  },
  'lists the state before the latest write': {
    open (storage) {
      const store = sharedStore(storage)
      const old = (storage as { listed?: Map<string, readonly SessionRecord[]> }).listed ??= new Map()
      return {
        ...store,
        async write (record, expected) {
          old.set(record.subject, await store.list(record.subject))
          return await store.write(record, expected)
        },
        list: async (subject) => copy(old.get(subject) ?? [])
      }
    },
    fails: 'every session of a subject is listed by every handle from its acknowledgement on',
    also: 'whatever lists'
  },
  'loses a listing when two sessions are written at once': {
    open (storage) {
      const store = sharedStore(storage)
      const index = (storage as { index?: Map<string, readonly string[]> }).index ??= new Map()
      return {
        ...store,
        async write (record, expected) {
          const ids = index.get(record.subject) ?? []
          const isWritten = await store.write(record, expected)
          if (isWritten) index.set(record.subject, [...ids.filter((id) => id !== record.id), record.id])
          return isWritten
        },
        list: async (subject) => (await store.list(subject)).filter(({ id }) => index.get(subject)?.includes(id))
      }
    },
    fails: 'writes to different sessions of one subject at once are all acknowledged, and none is lost from the list'
  },
  'lists what is revoked': {
    open: (storage) => ({
      ...sharedStore(storage),
      list: async (subject) => Array.from(storage.records.values()).filter((record) => record.subject === subject).map(copy)
    }),
    fails: UNLISTED
  },
  'lists subjects by what they begin with': {
    open: (storage) => ({
      ...sharedStore(storage),
      list: async (subject) => Array.from(storage.records.values()).filter((record) => !record.revoked && record.subject.startsWith(subject)).map(copy)
    }),
    fails: 'no session of another subject is listed',
    also: [CHARACTERS, SUBJECTS, LONG]
  },
  'names the subject that was asked for': {
    open (storage) {
      const store = sharedStore(storage)
      return {
        ...store,
        read: async (refs) => (await store.read(refs)).map((record) => ({ ...record, subject: refs.find(({ id }) => id === record.id)?.subject as string }))
      }
    },
    fails: 'a session that is asked for with another subject stays that of its own'
  },
  'remembers per handle what it read': {
    open (storage) {
      const store = sharedStore(storage)
      const remembered = new Map<string, SessionRecord>()
      return {
        ...store,
        async read (refs) {
          const missing = refs.filter(({ id }) => !remembered.has(id))
          for (const record of await store.read(missing)) remembered.set(record.id, record)
          return refs.flatMap(({ id }) => remembered.get(id) ?? []).map(copy)
        },
        async write (record, expected) {
          remembered.delete(record.id)
          return await store.write(record, expected)
        }
      }
    },
    fails: READABLE,
    also: [REVOKED, CHARACTERS, IDS, SUBJECTS, LONG, TOGETHER, EXPIRED, EXPIRES, PRUNE_LIMIT]
  },
  'reads at most twenty sessions at once': {
    open (storage) {
      const store = sharedStore(storage)
      return { ...store, read: (refs) => store.read(refs.slice(0, 20)) }
    },
    fails: 'a read of many sessions answers each that has a record, and no other'
  },
  'fails when a session is asked for twice': {
    open (storage) {
      const store = sharedStore(storage)
      return {
        ...store,
        async read (refs) {
          if (new Set(refs.map(({ id }) => id)).size < refs.length) throw new Error('duplicate key')
          return await store.read(refs)
        }
      }
    },
    fails: 'a session that is asked for twice is answered'
  },
  'lists sessions as they were created': {
    open (storage) {
      const store = sharedStore(storage)
      return { ...store, list: async (subject) => (await store.list(subject)).map((record) => ({ ...record, state: { ...record.state, generation: 0 } })) }
    },
    fails: 'a session is listed as it was written last',
    also: 'whatever lists'
  },
  'answers everything when nothing is asked for': {
    open (storage) {
      const store = sharedStore(storage)
      return { ...store, read: async (refs) => refs.length === 0 ? Array.from(storage.records.values(), copy) : await store.read(refs) }
    },
    fails: 'a read of no sessions answers none'
  },
  'fails when a subject has no sessions': {
    open (storage) {
      const store = sharedStore(storage)
      return {
        ...store,
        async list (subject) {
          const isKnown = Array.from(storage.records.values()).some((record) => record.subject === subject)
          if (!isKnown) throw new Error('no such subject')
          return await store.list(subject)
        }
      }
    },
    fails: 'a subject without sessions has an empty list'
  },
  'fails when a session is not there': {
    open (storage) {
      const store = sharedStore(storage)
      return {
        ...store,
        async read (refs) {
          const records = await store.read(refs)
          if (refs.length > 0 && records.length === 0) throw new Error('no such session')
          return records
        }
      }
    },
    fails: 'a session that is not there is left out of the answer',
    also: [NONE, READABLE, INHERITED, PRUNE_LIMIT, PRUNE_AT_ONCE]
  },
  'drops fractions of a second': {
    open: (storage) => changing(storage, (record) => ({ ...record, expiresAt: Math.floor(record.expiresAt) })),
    fails: 'a fraction of a second in expiresAt comes back as it was written',
    also: [PRUNE_LIVE]
  },
  'keeps numbers in four bytes': {
    open: (storage) => changing(storage, (record) => ({ ...record, state: { ...record.state, generation: record.state.generation | 0 } })),
    fails: 'every number in a state comes back as it was written'
  },
  'keeps text in Latin-1': {
    open: (storage) => changing(storage, (record) => ({ ...record, state: JSON.parse(Buffer.from(JSON.stringify(record.state), 'latin1').toString('latin1')) })),
    fails: 'every text in a state comes back as it was written',
    also: [LARGEST]
  },
  'cuts states at 1 KiB': {
    open: (storage) => changing(storage, (record) => JSON.stringify(record.state).length <= 1024 ? record : { ...record, state: { ...record.state, device: {} } }),
    fails: LARGEST
  },
  'compares ids without regard to case': {
    open (storage) {
      const store = sharedStore(storage)
      const ids = (storage as { ids?: Map<string, string> }).ids ??= new Map()
      const known = (id: string) => ids.get(id.toLowerCase()) ?? id
      return {
        ...store,
        read: (refs) => store.read(refs.map(({ id, subject }) => ({ id: known(id), subject }))),
        write (record, expected) {
          if (!ids.has(record.id.toLowerCase())) ids.set(record.id.toLowerCase(), record.id)
          return store.write({ ...record, id: known(record.id) }, expected)
        }
      }
    },
    fails: IDS
  },
  'compares subjects without regard to trailing spaces': {
    open (storage) {
      const store = sharedStore(storage)
      return {
        ...store,
        list: async (subject) => Array.from(storage.records.values()).filter((record) => !record.revoked && record.subject.trimEnd() === subject.trimEnd()).map(copy)
      }
    },
    fails: SUBJECTS
  },
  'keeps the first 64 characters of an id': {
    open (storage) {
      const store = sharedStore(storage)
      const cut = <T extends { readonly id: string }>(ref: T): T => ({ ...ref, id: ref.id.slice(0, 64) })
      return { ...store, read: (refs) => store.read(refs.map(cut)), write: (record, expected) => store.write(cut(record), expected) }
    },
    fails: LONG
  },
  'keeps its ids in a plain object': {
    open (storage) {
      const store = sharedStore(storage)
      const ids: Record<string, boolean> = {}
      return {
        ...store,
        async write (record, expected) {
          if (expected === 0 && ids[record.id]) return false
          ids[record.id] = true
          return await store.write(record, expected)
        }
      }
    },
    fails: INHERITED
  },
  'takes an id and a subject for one key': {
    open (storage) {
      const store = sharedStore(storage)
      const key = <T extends { readonly id: string, readonly subject: string }>(ref: T): T => ({ ...ref, id: `${ref.id}:${ref.subject}` })
      const own = (record: SessionRecord): SessionRecord => ({ ...record, id: record.id.slice(0, -record.subject.length - 1) })
      const { watch, ...rest } = store
      return {
        ...rest,
        read: async (refs) => (await store.read(refs.map(key))).map(own),
        write: (record, expected) => store.write(key(record), expected),
        list: async (subject) => (await store.list(subject)).map(own)
      }
    },
    fails: TOGETHER
  },
  'keeps the object that it was given': {
    open: (storage) => ({
      ...sharedStore(storage),
      async write (record, expected) {
        await turn()
        const current = storage.records.get(record.id)
        if ((current?.revision ?? 0) !== expected || current?.revoked) return false
        storage.records.set(record.id, record)
        if (record.revoked) announce(storage, record.id)
        return true
      }
    }),
    fails: 'a change of what was written or read is not stored'
  },
  'answers the object that it keeps': {
    open: (storage) => ({
      ...sharedStore(storage),
      read: async (refs) => refs.flatMap(({ id }) => storage.records.get(id) ?? [])
    }),
    fails: 'a change of what was written or read is not stored'
  },
  'revokes all sessions of the subject': {
    open (storage) {
      const store = sharedStore(storage)
      return {
        ...store,
        async write (record, expected) {
          const isWritten = await store.write(record, expected)
          if (isWritten && record.revoked) {
            for (const other of storage.records.values()) if (other.subject === record.subject && !other.revoked) storage.records.delete(other.id)
          }
          return isWritten
        }
      }
    },
    fails: 'a revocation ends no other session',
    also: [UNLISTED, IDS, LONG, EXPIRED, EXPIRES]
  },
  'forgets a subject with the session that expires first': {
    open (storage) {
      const store = sharedStore(storage)
      const forget = () => {
        const gone = new Set(Array.from(storage.records.values()).filter(({ expiresAt }) => expiresAt * 1000 < Date.now() && expiresAt * 1000 > Date.now() - 9000).map(({ subject }) => subject))
        for (const { id, subject } of storage.records.values()) if (gone.has(subject)) storage.records.delete(id)
      }
      return { ...store, read (refs) { forget(); return store.read(refs) } }
    },
    fails: EXPIRES
  },
  'refuses to write what has expired': {
    open (storage) {
      const store = sharedStore(storage)
      return {
        ...store,
        async write (record, expected) {
          if (record.expiresAt * 1000 < Date.now() - 1000) throw new Error('it has expired')
          return await store.write(record, expected)
        }
      }
    },
    fails: EXPIRED,
    also: [PRUNE_LIVE, PRUNE_LIMIT, PRUNE_AT_ONCE]
  },
  'prunes live sessions': {
    open (storage) {
      const store = sharedStore(storage)
      return { ...store, prune: (now, limit) => store.prune(now + 1, limit) }
    },
    fails: PRUNE_LIVE
  },
  'prunes everything at once': {
    open (storage) {
      const store = sharedStore(storage)
      return { ...store, prune: (now) => store.prune(now, 100) }
    },
    fails: PRUNE_LIMIT,
    also: [PRUNE_AT_ONCE]
  },
  'prunes nothing': {
    open: (storage) => ({ ...sharedStore(storage), prune: async () => 0 }),
    fails: PRUNE_LIMIT,
    also: [PRUNE_AT_ONCE]
  },
  'prunes without end': {
    open: (storage) => ({ ...sharedStore(storage), prune: async () => 1 }),
    fails: PRUNE_LIMIT,
    also: [PRUNE_AT_ONCE, PRUNE_LIVE]
  },
  'loses its link for good after a reset': {
    open (storage) {
      const store = sharedStore(storage)
      let wasReset = false
      return {
        ...store,
        watch: (on) => store.watch({
          ...on,
          ready: ({ ping, reset }) => on.ready({
            ping: async () => { if (wasReset) throw new Error('The link is lost'); await ping() },
            reset () { wasReset = true; reset() }
          })
        })
      }
    },
    fails: RESET
  },
  'counts what two handles prune twice': {
    open (storage) {
      const store = sharedStore(storage)
      return {
        ...store,
        async prune (now, limit) {
          const expired = Array.from(storage.records.values()).filter(({ expiresAt }) => expiresAt < now).slice(0, limit)
          await turn()
          for (const { id } of expired) storage.records.delete(id)
          return expired.length
        }
      }
    },
    fails: PRUNE_AT_ONCE
  },
  'announces before read shows it': {
    open (storage) {
      const store = sharedStore(storage)
      return {
        ...store,
        async write (record, expected) {
          const current = storage.records.get(record.id)
          if (record.revoked && current?.revision === expected && !current.revoked) announce(storage, record.id)
          await turn()
          await turn()
          await turn()
          return await store.write(record, expected)
        }
      }
    },
    fails: EARLY
  },
  'answers a ping before it has announced': {
    open (storage) {
      const store = sharedStore(storage)
      return { ...store, watch: (on) => store.watch({ ...on, revoked: (ids) => { setTimeout(() => on.revoked(ids), 20) } }) }
    },
    fails: PING,
    also: [RESET]
  },
  'announces rotations as revocations': {
    open (storage) {
      const store = sharedStore(storage)
      return {
        ...store,
        async write (record, expected) {
          const isWritten = await store.write(record, expected)
          if (isWritten && !record.revoked && expected > 0) announce(storage, record.id)
          return isWritten
        }
      }
    },
    fails: ONLY
  },
  'announces to a watch that was closed': {
    open (storage) {
      const store = sharedStore(storage)
      return {
        ...store,
        watch (on: WatchHandlers) {
          store.watch(on)
          return { async close () {} }
        }
      }
    },
    fails: CLOSED
  },
  'is deaf after a reset': {
    open (storage) {
      const store = sharedStore(storage)
      return {
        ...store,
        watch (on: WatchHandlers) {
          let isDeaf = false
          return store.watch({
            ...on,
            ready: (link) => on.ready({ ping: () => link.ping(), reset () { isDeaf = true } }),
            revoked: (ids) => { if (!isDeaf) on.revoked(ids) }
          })
        }
      }
    },
    fails: RESET
  }
}

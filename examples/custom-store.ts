// A store of one's own, written from the chapter "Write a store" of the README, and proven with the kit.
// `npm run build && npx tsx examples/custom-store.ts` prints what each proof says, and ends.
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RevocationStore, SessionRecord } from 'fastify-jwt-session'
import { conformanceTests } from 'fastify-jwt-session/conformance'

/** Keeps the sessions of each subject in a file of the folder. They outlive a restart; one process may use the folder. */
function fileStore (folder: string): RevocationStore {
  // A subject is any string: its hash is a name for a file, whatever is in it.
  const fileOf = (subject: string) => join(folder, `${createHash('sha256').update(subject).digest('hex')}.json`)

  async function recordsOf (subject: string): Promise<SessionRecord[]> {
    try {
      return JSON.parse(await readFile(fileOf(subject), 'utf8'))
    } catch (error) {
      // No file is a value: this subject has no sessions. Anything else means "could not answer", and is thrown.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  }

  async function replace (record: SessionRecord, expected: number): Promise<boolean> {
    const records = await recordsOf(record.subject)
    if ((records.find(({ id }) => id === record.id)?.revision ?? 0) !== expected) return false
    const now = Date.now() / 1000
    const kept = records.filter(({ id, expiresAt }) => id !== record.id && expiresAt > now)
    // A revoked session is dropped: it is listed no more, and no write can take its place.
    if (!record.revoked) kept.push(record)
    // A reader sees the old file or the new one, never a half, also after a crash.
    const file = fileOf(record.subject)
    await writeFile(`${file}.new`, JSON.stringify(kept), { flush: true })
    await rename(`${file}.new`, file)
    return true
  }

  // Comparison and write are one step, because the writes of a subject wait for each other.
  const latest = new Map<string, Promise<unknown>>()
  return {
    async read (refs) {
      const subjects = Array.from(new Set(refs.map(({ subject }) => subject)))
      const records = (await Promise.all(subjects.map(recordsOf))).flat()
      return records.filter((record) => refs.some(({ id }) => id === record.id))
    },
    async write (record, expected) {
      const { subject } = record
      const written = (latest.get(subject) ?? Promise.resolve()).then(() => replace(record, expected))
      const settled = written.catch(() => {}).then(() => { if (latest.get(subject) === settled) latest.delete(subject) })
      latest.set(subject, settled)
      return await written
    },
    list: recordsOf
  }
}

async function main (): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sessions-'))
  const store = fileStore(folder)
  let failures = 0
  // A store that lives in one process may answer the same object each time. With a test runner this loop is one line, see the README.
  for (const { name, run } of conformanceTests({ open: () => store, watch: false, prune: false })) {
    const failure = await run().then(() => null, (error: Error) => error)
    if (failure !== null) failures++
    console.log(failure === null ? `ok      ${name}` : `FAILED  ${name}\n        ${failure.message}`)
  }
  await rm(folder, { recursive: true })
  console.log(failures === 0 ? 'The store keeps every promise.' : `The store breaks ${failures} promises.`)
  process.exitCode = failures === 0 ? 0 : 1
}

main()

import { Piscina } from 'piscina'
import { sessionError } from '../errors'

/** Threads that run the functions which a file exports. */
export interface Threads {
  /** @throws `BUSY` when there are no threads to be had. */
  run<Answer> (name: string, task: object): Promise<Answer>
  /** Waits for what is running and ends the threads. The next call starts new ones. */
  close (): Promise<void>
}

/** Long enough for the next login, and short enough to give back the memory at night. */
const IDLE_MS = 30_000

/**
 * Threads that start when they are needed, end when they have been idle, and keep no process alive. What was running in a
 * thread that died is tried once more in another one.
 */
export function workerThreads (filename: string, count: number): Threads {
  const running = new Set<Promise<unknown>>()
  let pool: Piscina | undefined
  let failure: unknown

  function open (): Piscina {
    const made = new Piscina({ filename, minThreads: 0, maxThreads: count, idleTimeout: IDLE_MS, recordTiming: false })
    // A thread that dies while it starts takes no work with it, and the pool would leave the work lying.
    const check = (): void => {
      setImmediate(() => {
        if (made.threads.length > 0 || made.queueSize === 0) return
        if (pool === made) pool = undefined
        made.destroy()
      })
    }
    made.on('workerDestroy', check)
    made.on('error', (error) => {
      failure = error
      check()
    })
    return made
  }

  async function attempt<Answer> (name: string, task: object): Promise<Answer> {
    pool ??= open()
    const work: Promise<Answer> = pool.run(task, { name })
    running.add(work)
    try {
      return await work
    } finally {
      running.delete(work)
    }
  }

  return {
    run: (name, task) => attempt<any>(name, task).catch(() => attempt<any>(name, task)).catch((error: unknown) => {
      throw sessionError('BUSY', { cause: failure ?? error })
    }),

    async close () {
      const closing = pool
      pool = undefined
      await Promise.allSettled(running)
      await closing?.destroy()
    }
  }
}

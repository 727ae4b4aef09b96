import { availableParallelism } from 'node:os'
import { optionInvalid, sessionError } from '../errors'

/** How much is done at once, and how much may wait for it. */
export interface QueueOptions {
  /** How many passwords are worked on at once: 1 to 64. */
  readonly threads?: number
  /** How many more may wait for that; beyond it the answer is `BUSY`: 0 to 10,000. Default: 50 for each thread. */
  readonly queue?: number
}

/** Work that waits for its turn in order of arrival. */
export interface Queue {
  readonly threads: number
  /**
   * Does a piece of work when it is its turn. A signal takes it out of the queue; what has begun is finished.
   * @throws `BUSY` when the queue is full, and the reason of the signal.
   */
  run<Answer> (work: () => Promise<Answer>, signal: AbortSignal | undefined): Promise<Answer>
}

/** As many threads as there are cores, or as many as make sense. */
export function boundedQueue (name: string, { threads, queue }: QueueOptions, mostThreads = 64): Queue {
  const places = read(`${name}({ threads })`, threads ?? Math.min(availableParallelism(), mostThreads), 1, 64)
  const length = read(`${name}({ queue })`, queue ?? 50 * places, 0, 10_000)
  const waiting = new Set<() => void>()
  let running = 0

  function wait (signal: AbortSignal | undefined): Promise<void> {
    if (waiting.size >= length) throw sessionError('BUSY')
    return new Promise((resolve, reject) => {
      function start (): void {
        signal?.removeEventListener('abort', leave)
        resolve()
      }
      function leave (): void {
        waiting.delete(start)
        reject((signal as AbortSignal).reason)
      }
      waiting.add(start)
      signal?.addEventListener('abort', leave)
    })
  }

  return {
    threads: places,

    async run (work, signal) {
      signal?.throwIfAborted()
      if (running < places) running++
      else await wait(signal)
      try {
        return await work()
      } finally {
        const [next] = waiting
        // The place is handed on rather than freed, so that nobody who comes now gets in between.
        if (next === undefined) running--
        else {
          waiting.delete(next)
          next()
        }
      }
    }
  }
}

function read (option: string, value: number, least: number, most: number): number {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw optionInvalid(option, `has to be a whole number from ${least} to ${most}`, 'Leave it out for the default')
  }
  return value
}

import type { FastifyBaseLogger } from 'fastify'
import type { Timing } from '../clock'
import type { RevocationStore } from '../../types'

/** Seconds between two rounds, and records in one portion. */
const INTERVAL = 600
const PORTION = 1000

/** Has a store that wants it delete expired records now and then, in portions; answers how to stop. */
export function pruneRegularly (store: RevocationStore, log: FastifyBaseLogger, timing: Timing): () => void {
  if (store.prune === undefined) return () => {}
  let isStopped = false
  let cancel = later(INTERVAL)

  // Nodes that started together should not prune together.
  function later (delay: number): () => void {
    return timing.after(delay * (0.5 + Math.random()), round)
  }

  async function round (): Promise<void> {
    let deleted = 0
    try {
      deleted = await (store as Required<RevocationStore>).prune(timing.now(), PORTION)
    } catch (error) {
      log.warn({ err: error }, 'fastify-jwt-session: expired sessions could not be deleted')
    }
    if (!isStopped) cancel = later(deleted >= PORTION ? 0 : INTERVAL)
  }

  return () => {
    isStopped = true
    cancel()
  }
}

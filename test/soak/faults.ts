import { setTimeout as pause } from 'node:timers/promises'
import { closeIn, closingStates } from '../support/closing'
import { startNode } from '../support/session-nodes'
import type { NodeOptions } from '../support/session-node'
import type { StoreServer } from '../support/store-server'
import type { Ledger, Place } from './ledger'

export interface FaultPlan {
  readonly place: Place
  readonly server: StoreServer
  readonly ledger: Ledger
  readonly random: () => number
  readonly isOver: () => boolean
  /** What a node that is to be closed is opened with. */
  readonly options: () => NodeOptions
  /** Does something while nobody takes samples. */
  readonly alone: (act: () => Promise<void>) => Promise<void>
  /** The pause between two faults, in milliseconds. */
  readonly pauseMs: number
}

/** One fault after the other; in between, nodes are opened and closed in every state. */
export async function trouble (plan: FaultPlan): Promise<void> {
  const { place, server, ledger, random, isOver, alone, pauseMs } = plan
  const seconds = (from: number, to: number) => pause((from + (to - from) * random()) * 1000)

  async function fault (name: string, act: () => Promise<void>): Promise<void> {
    if (isOver()) return
    const close = ledger.openWindow(place)
    ledger.note(`${place}: ${name}`)
    await act().finally(close)
  }

  async function kill (): Promise<void> {
    await server.kill9()
    await seconds(1, 6)
    await server.start()
  }

  async function standStill (): Promise<void> {
    server.pause()
    await seconds(1, 6)
    server.resume()
  }

  async function lose (): Promise<void> {
    // Sessions that are opened now may be lost or not.
    ledger.lose(place)
    await server.lose()
    ledger.lose(place)
  }

  /** What was written last when a server is killed may be lost to who reads it again, but no more than that. */
  const rounds: readonly (readonly [string, () => Promise<void>])[] = [
    ['killed and started', kill], ['stood still', standStill], ['connections cut', () => server.cut()],
    ['killed and started', kill], ['connections cut', () => server.cut()], ['stood still', standStill],
    ['all sessions lost', lose]
  ]
  for (let round = 0; !isOver(); round++) {
    const [name, act] = rounds[round % rounds.length] as typeof rounds[number]
    await rest()
    await alone(() => fault(name, act))
    await rest()
    await alone(() => closeOne(round))
  }

  async function rest (): Promise<void> {
    const until = Date.now() + pauseMs * (0.75 + random() / 2)
    while (Date.now() < until && !isOver()) await pause(200)
  }

  /** Opens one more node, and closes it in a state. */
  async function closeOne (round: number): Promise<void> {
    const state = closingStates[round % closingStates.length] as typeof closingStates[number]
    if (isOver()) return
    const node = startNode()
    // What some states need is a fault for everybody else.
    let close = (): void => {}
    const excused: StoreServer = {
      ...server,
      kill9: () => { close = ledger.openWindow(place); return server.kill9() },
      pause: () => { close = ledger.openWindow(place); server.pause() },
      cut: () => { close = ledger.openWindow(place); return server.cut() }
    }
    try {
      await node.open({ ...plan.options(), lookupMs: state.lookupMs ?? 1 })
      const { ms, problems } = await closeIn(state, node, excused).finally(() => close())
      const { troubles } = await node.vitals()
      const code = await node.leave(10_000)
      for (const problem of [...problems, ...troubles]) ledger.violate(`${place}, closed ${state.name}: ${problem}`)
      if (code !== 0) ledger.violate(`${place}, closed ${state.name}: the process ended with ${code}`)
      ledger.note(`${place}: closed ${state.name}`)
      ledger.closed(state.name, ms)
    } finally {
      node.kill()
    }
  }
}

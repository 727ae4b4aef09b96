import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A way to a port that can be cut, bent and muted. */
export interface Proxy {
  readonly port: number
  /** Connections stay open, and nothing comes through them any more. New ones work. */
  freeze (): void
  /** New connections are accepted too, and nothing comes through, until `speak`. */
  mute (): void
  /** New connections work again. */
  speak (): void
  /** Ends all connections; new ones lead to another port. */
  leadTo (port: number): void
}

/** A way to a port of this machine. It ends with the test. */
export async function startProxy (t: Test, to: number): Promise<Proxy> {
  const sockets = new Set<Socket>()
  let target = to
  let isMute = false

  const keep = (socket: Socket): void => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  }
  const server = createServer((near) => {
    keep(near)
    if (isMute) return near.on('error', () => {}).pause()
    const far = connect(target, '127.0.0.1')
    keep(far)
    for (const [one, other] of [[near, far], [far, near]] as const) {
      one.pipe(other)
      one.on('error', () => other.destroy()).on('close', () => other.destroy())
    }
  })
  const destroyAll = (): void => { for (const socket of sockets) socket.destroy() }
  const freeze = (): void => { for (const socket of sockets) socket.unpipe().pause() }
  t.teardown(() => {
    destroyAll()
    server.close()
  })
  return {
    port: await listen(server),
    freeze,
    mute () {
      isMute = true
      freeze()
    },
    speak () { isMute = false },
    leadTo (port) {
      target = port
      destroyAll()
    }
  }
}

/**
 * A port that nobody listens at. It is none that systems give to outgoing connections: one of those could take it while its server is
 * down, and a client that tries again and again could even reach itself.
 */
export async function freePort (): Promise<number> {
  const server = createServer()
  try {
    const port = await listen(server, randomInt(16_384, 32_768))
    server.close()
    return port
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    return await freePort()
  }
}

async function listen (server: Server, port = 0): Promise<number> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

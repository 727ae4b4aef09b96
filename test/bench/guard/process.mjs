import { spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { availableParallelism, setPriority } from 'node:os'
import { fileURLToPath } from 'node:url'

/** Whether processes can be bound to cores here. */
export const canPin = availableParallelism() > 1 && spawnSync('taskset', ['-c', '0', 'true']).status === 0

/**
 * Starts a file of this folder that calls `serve`, on a core of its own if that can be had. `ask` calls one of its functions.
 * It ends with this process, whatever that ends by.
 */
export function startProcess (file, { core, nice, flags = [] }) {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const command = [process.execPath, ...flags, path]
  if (canPin) command.unshift('taskset', '-c', String(core))
  // Detached: an interrupt goes to this process alone, and the others end in order.
  const child = spawn(command[0], command.slice(1), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced', detached: true, env: { ...process.env, NODE_ENV: 'production' }
  })
  if (nice !== undefined) raise(child.pid, nice)

  const open = new Map()
  let calls = 0
  child.on('message', ({ id, result, error }) => {
    const { resolve, reject } = open.get(id)
    open.delete(id)
    if (error === undefined) resolve(result)
    else reject(Object.assign(new Error(error.message), error))
  })
  child.on('exit', (code, signal) => {
    for (const { reject } of open.values()) reject(new Error(`${file} ended (${signal ?? code})`))
  })

  return {
    ask: (name, argument) => new Promise((resolve, reject) => {
      if (!child.connected) return reject(new Error(`${file} has ended`))
      const id = calls++
      open.set(id, { resolve, reject })
      child.send({ id, name, argument }, (error) => { if (error !== null) reject(error) })
    }),
    stop: () => new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) return resolve()
      child.once('exit', resolve)
      if (child.connected) child.disconnect()
    })
  }
}

function raise (pid, nice) {
  setPriority(pid, nice)
  try {
    // Sessions of processes compete as groups where the kernel has autogroups; there the priority is the group's.
    writeFileSync(`/proc/${pid}/autogroup`, String(nice))
  } catch {}
}

/** The side of a process that was started: answers calls of these functions until the other side has gone. */
export function serve (functions) {
  process.on('message', async ({ id, name, argument }) => {
    try {
      process.send({ id, result: await functions[name](argument) })
    } catch (error) {
      process.send({ id, error: { message: error.message || String(error.code), code: error.code } })
    }
  })
  process.once('disconnect', async () => {
    await functions.close?.()
    process.exit()
  })
}

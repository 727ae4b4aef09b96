import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Where figures and profiles are kept. */
export const folder = fileURLToPath(new URL('../results', import.meta.url))

/** A table of rows that have the same members. */
export function table (rows) {
  const columns = Object.keys(rows[0] ?? {})
  const lines = [columns, columns.map((_, index) => index === 0 ? '---' : '---:'), ...rows.map(Object.values)]
  return lines.map((line) => `| ${line.join(' | ')} |`).join('\n')
}

export function digits (value, count = 2) {
  return value === undefined || Number.isNaN(value) ? '–' : value.toLocaleString('en', { minimumFractionDigits: count, maximumFractionDigits: count })
}

/** A median with its quartiles. */
export function withSpread (spread, count = 2) {
  return spread === undefined ? '–' : `${digits(spread.median, count)} (${digits(spread.from, count)}–${digits(spread.to, count)})`
}

export function machine () {
  return { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: availableParallelism(), platform: process.platform }
}

/** Keeps all figures beside the table; answers where. */
export function save (name, results) {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${name}-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}.json`)
  writeFileSync(path, `${JSON.stringify({ machine: machine(), ...results }, null, 1)}\n`)
  return path
}

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'

/** What one proof stands for: names as README has them, and what shows that the answer beside them is true. */
export type Row = readonly [names: readonly string[], prove: (t: Test) => Promise<void>]

/** The names in the first cells of the tables of a chapter of README. */
export function namesInChapter (heading: string): string[] {
  const readme = readFileSync(join(__dirname, '../../README.md'), 'utf8')
  const chapter = readme.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? ''
  const cells = Array.from(chapter.matchAll(/^\| (`.*?) \|/gm), ([, cell]) => cell as string)
  return cells.flatMap((cell) => Array.from(cell.matchAll(/`([^`]+)`/g), ([, name]) => name as string))
}

/** Proves every row, and that the chapter has these names and no others. */
export async function proveRows (t: Test, heading: string, rows: readonly Row[]): Promise<void> {
  await t.test(`README has the rows of "${heading}" that are proven, and no others`, async (t) => {
    t.same(namesInChapter(heading).sort(), rows.flatMap(([names]) => names).sort())
  })
  for (const [names, prove] of rows) await t.test(names.join(', '), prove)
}

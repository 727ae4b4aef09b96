import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A block of code in a doc comment. */
export interface DocExample {
  /** The file, without `.ts`, and what the comment stands before: `'lib/claims anyOf'`. */
  readonly name: string
  readonly code: string
}

const ROOT = join(__dirname, '..', '..')

/** All blocks of code in the doc comments of `lib` and `types`. */
export function docExamples (): DocExample[] {
  return ['lib', 'types'].flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.tst.ts'))
    .sort()
    .flatMap((path) => examplesOf(`${folder}/${path.slice(0, -3)}`)))
}

function examplesOf (file: string): DocExample[] {
  const source = readFileSync(join(ROOT, `${file}.ts`), 'utf8')
  const found = Array.from(source.matchAll(/\/\*\*([^]*?)\*\/\s*(?:(?:export|async|function|const|interface|type) +)*(\w+)/g), ([, comment, name]) => {
    const text = (comment as string).replace(/^ *\* ?/gm, '')
    return Array.from(text.matchAll(/^@example\n```ts\n([^]*?)^```$/gm), ([, code]) => ({ name: `${file} ${name}`, code: code as string }))
  }).flat()
  const fences = source.match(/```/g)?.length ?? 0
  const tags = source.match(/@example/g)?.length ?? 0
  // Whatever else looks like one would be seen by readers and by no test.
  if (fences !== 2 * found.length || tags !== found.length) throw new Error(`${file} has a block of code that is no @example with a block of ts`)
  return found
}

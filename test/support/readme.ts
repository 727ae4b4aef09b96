import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const README = readFileSync(join(__dirname, '..', '..', 'README.md'), 'utf8')

/** The code blocks of a language in the README, without the indentation of the list that they may stand in. */
export function blocks (language: string): string[] {
  const pattern = new RegExp(`^( *)\`\`\`${language}\\n([^]*?)^ *\`\`\`$`, 'gm')
  return Array.from(README.matchAll(pattern), ([, indent, code]) => (code as string).replaceAll(new RegExp(`^${indent}`, 'gm'), ''))
}

/** The one block that holds a text. */
export function blockWith (language: string, text: string): string {
  const found = blocks(language).filter((block) => block.includes(text))
  if (found.length !== 1) throw new Error(`${found.length} blocks of the README hold ${text}`)
  return found[0] as string
}

/** The options that tables of the README name. */
export function optionsOf (): string[] {
  return Array.from(README.matchAll(/^\| `([a-z][\w.]*)` \|/gm), ([, name]) => name as string)
}

import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import jwtSession from '../lib'

const root = join(__dirname, '..')
const documents = ['README.md', 'SECURITY.md', 'CHANGELOG.md', 'test/bench/README.md']

/** A document without its blocks of code, in which neither a heading nor a link is one. */
const read = (path: string) => readFileSync(join(root, path), 'utf8').replace(/^( *)```[^]*?^\1```$/gm, '')

const chapterOf = (heading: string) => read('README.md').split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? ''

interface Heading { depth: number, text: string, anchor: string }

/** The headings of a document, with the anchors that GitHub gives them. */
function headings (path: string): Heading[] {
  const seen = new Map<string, number>()
  return Array.from(read(path).matchAll(/^(#+) (.+)$/gm), ([, marks, text]) => {
    const plain = (text as string).toLowerCase().replace(/[^\p{L}\p{N}\-_ ]/gu, '').replaceAll(' ', '-')
    const repeated = seen.get(plain) ?? 0
    seen.set(plain, repeated + 1)
    return { depth: (marks as string).length, text: text as string, anchor: repeated === 0 ? plain : `${plain}-${repeated}` }
  })
}

t.test('every link to a file, a folder or a heading leads somewhere', async (t) => {
  for (const path of documents) {
    const links = Array.from(read(path).matchAll(/\]\(([^)\s]+)\)/g), ([, target]) => target as string).filter((target) => !/^https?:/.test(target))
    if (path === 'README.md') t.ok(links.length > 50, 'there are some')
    for (const link of links) {
      const [file, anchor] = link.split('#') as [string, string?]
      const target = file === '' ? path : join(dirname(path), file)
      t.ok(existsSync(join(root, target)), `${path}: ${link}`)
      if (anchor !== undefined) t.ok(headings(target).some((heading) => heading.anchor === anchor), `${path}: ${link}`)
    }
  }
})

t.test('no two headings of a document share an anchor by number', async (t) => {
  for (const path of documents) t.same(headings(path).filter(({ anchor }) => /-\d+$/.test(anchor)).map(({ text }) => text), [], path)
})

t.test('the contents of README name every chapter, in order, and every part of the reference', async (t) => {
  const all = headings('README.md')
  const start = all.findIndex(({ text }) => text === 'Contents')
  let chapter = ''
  const expected = all.slice(start + 1).filter(({ depth, text }) => {
    if (depth === 2) chapter = text
    return depth === 2 || chapter === 'Reference'
  })
  const listed = Array.from(chapterOf('Contents').matchAll(/\[([^\]]+)\]\(#([^)]+)\)/g), ([, text, anchor]) => `${text} #${anchor}`)
  t.ok(start > 0 && expected.length > 30)
  t.same(listed, expected.map(({ text, anchor }) => `${text} #${anchor}`))
})

t.test('the settings whose limits README tells are settings', async (t) => {
  const limits = chapterOf('Know the limits')
  const cells = Array.from(limits.matchAll(/^\| (`.+?) \|/gm), ([, cell]) => cell as string)
  const named = cells.flatMap((cell) => Array.from(cell.matchAll(/`(\w+)/g), ([, name]) => name as string))
  t.ok(named.length > 20)
  const options = Array.from(chapterOf('Reference').matchAll(/^\| `(\w+)(?:\.\w+)*` \|/gm), ([, name]) => name as string)
  for (const name of named) t.ok(options.includes(name) || name in jwtSession, name)
})

import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** Nothing that asks other servers than the one under test, and what containers need. */
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-lcd-text'
]

/** The Chromium of this machine: CHROMIUM_PATH, or what the path has. */
export const installedChromium = process.env.CHROMIUM_PATH || (process.env.PATH ?? '').split(delimiter)
  .flatMap((folder) => NAMES.map((name) => join(folder, name))).find(isExecutable)

/** Starts it without a window, with a new profile. It ends with the test. */
export async function startChromium (owner: Owner): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: installedChromium as string, args: FLAGS })
  owner.teardown(() => browser.close())
  return browser
}

/** What outlives nothing that it owns: a test, for one. */
export interface Owner { teardown (end: () => unknown): void }

/** A page in a browser of its own: nothing is shared with other visits. */
export interface Visit {
  readonly page: Page
  /** Moves the time of the page ahead. */
  ahead (seconds: number): Promise<void>
  /** What should not have happened: errors, violations of the content security policy, requests to elsewhere. */
  readonly troubles: string[]
}

export async function visit (owner: Owner, browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext(options)
  context.setDefaultTimeout(15_000)
  owner.teardown(() => context.close())
  const page = await context.newPage()
  const troubles: string[] = []

  page.on('pageerror', (error) => troubles.push(String(error)))
  page.on('console', (message) => {
    // Chromium also lists what was refused on purpose, which is what the page is about.
    const isRefusal = /Failed to load resource: the server responded with a status of (?:400|401|403|409|429|503)\b/.test(message.text())
    if (['error', 'warning'].includes(message.type()) && !isRefusal) troubles.push(message.text())
  })
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin && !request.url().startsWith('data:')) troubles.push(request.url())
  })
  await page.clock.install()
  await page.goto(url)
  return { page, ahead: async (seconds) => await page.clock.fastForward(seconds * 1000), troubles }
}

function isExecutable (path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

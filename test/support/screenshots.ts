// Makes the pictures of the README from the running demo: `npm run screenshots`.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { installedChromium, startChromium, visit, type Visit } from './chromium'
import { startDemo } from './demo'
import { withPalette } from './png'

const FOLDER = join(__dirname, '..', '..', 'docs')
const LIMIT = 150_000

const FIREFOX = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 14.6; rv:140.0) Gecko/20100101 Firefox/140.0'
const IPHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1'

async function takeAll (): Promise<void> {
  if (installedChromium === undefined) throw new Error('There is no Chromium: install one, or say where it is with CHROMIUM_PATH')
  mkdirSync(FOLDER, { recursive: true })
  const ends: (() => unknown)[] = []
  const owner = { teardown: (end: () => unknown) => { ends.unshift(end) } }
  try {
    const browser = await startChromium(owner)
    const demo = await startDemo(owner)
    const open = async (options: BrowserContextOptions): Promise<Visit> => await visit(owner, browser, demo.url, options)
    const ahead = async (seconds: number, ...visits: Visit[]): Promise<void> => {
      await demo.ahead(seconds)
      for (const each of visits) await each.ahead(seconds)
    }

    const phone = await open({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, colorScheme: 'dark', userAgent: IPHONE })
    await logIn(phone.page, 'cookies')
    const other = await open({ userAgent: FIREFOX })
    await logIn(other.page, 'a header')
    await ahead(14, phone, other)
    const desktop = await open({ viewport: { width: 1200, height: 950 }, deviceScaleFactor: 1.5, colorScheme: 'light' })
    await logIn(desktop.page, 'a header')
    await ahead(LENIENCY, desktop, phone)
    await press(desktop.page, 'Refresh in four tabs at once')
    await ahead(18, desktop, phone)
    for (const { page } of [phone, desktop]) {
      for (const route of ['GET /me', 'GET /admin', 'POST /transfer']) await press(page, `Call ${route}`)
      await page.getByRole('dialog').waitFor()
      await page.keyboard.press('Escape')
    }
    await phone.page.evaluate('scrollTo(0, 0)')
    await desktop.page.evaluate('scrollTo(0, 0)')
    await take(desktop.page, 'demo-light')
    await take(phone.page, 'demo-dark-phone')

    await press(desktop.page, 'Replay the stolen token')
    await ahead(LENIENCY, desktop)
    await desktop.page.getByRole('heading', { name: 'Caught' }).waitFor()
    await desktop.page.mouse.wheel(0, 2000)
    await desktop.page.waitForTimeout(300)
    await take(desktop.page, 'demo-reuse')
  } finally {
    for (const end of ends) await end()
  }
}

const LENIENCY = 11

async function logIn (page: Page, transport: string): Promise<void> {
  await page.getByRole('radio', { name: transport }).check()
  await page.getByRole('button', { name: /^alice/ }).click()
  await press(page, 'Log in')
  await page.getByRole('region', { name: 'Your session', exact: true }).waitFor()
}

async function press (page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name, exact: true }).click()
  await page.waitForTimeout(300)
}

async function take (page: Page, name: string): Promise<void> {
  await page.evaluate('document.activeElement.blur()')
  await page.mouse.move(0, 0)
  const picture = withPalette(await page.screenshot())
  writeFileSync(join(FOLDER, `${name}.png`), picture)
  console.log(`docs/${name}.png, ${picture.length} bytes`)
  if (picture.length > LIMIT) throw new Error(`docs/${name}.png is longer than ${LIMIT} bytes`)
}

takeAll().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})

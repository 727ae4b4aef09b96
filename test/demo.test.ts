import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { installedChromium, startChromium, visit, type Visit } from './support/chromium'
import { startDemo, type Demo } from './support/demo'
import { postgresServer, type PostgresServer } from './support/postgres-server'
import { installed as installedRedis, startRedis } from './support/redis-server'

const FIND_FAULTS = readFileSync(join(__dirname, 'support', 'page-faults.js'), 'utf8')
const PHONE: BrowserContextOptions = { viewport: { width: 390, height: 844 }, hasTouch: true }

/** More than the ten seconds in which a used refresh token is taken for that of another tab. */
const LENIENCY = 11

type Transport = 'a header' | 'cookies'

const button = (page: Page, name: string | RegExp) => page.getByRole('button', { name, exact: true })
const region = (page: Page, name: string) => page.getByRole('region', { name, exact: true })

async function logIn (page: Page, username = 'alice', transport: Transport = 'a header'): Promise<void> {
  await page.getByRole('radio', { name: transport }).check()
  await button(page, new RegExp(`^${username} /`)).click()
  await button(page, 'Log in').click()
  await region(page, 'Your session').waitFor()
}

async function register (page: Page, username: string): Promise<void> {
  const form = page.locator('#login')
  await form.getByLabel('Username').fill(username)
  await form.getByLabel('Password').fill('correct horse')
  await button(page, 'Register').click()
}

/** Calls a route of the page and answers what it shows of the answer. */
async function call (page: Page, route: string): Promise<string> {
  await button(page, `Call ${route}`).click()
  await page.locator('[aria-busy=true]').waitFor({ state: 'detached' })
  return await page.getByRole('listitem').filter({ hasText: route }).locator('output').innerText()
}

const says = async (page: Page, text: string | RegExp): Promise<void> => await page.getByText(text).first().waitFor()

// A browser is slow to start on a busy machine.
t.setTimeout(240_000)

t.test('PostgreSQL', async (t) => {
  const server = await postgresServer()
  t.teardown(async () => await server?.remove())
  await t.test('the demo starts on it, and has a strict content security policy', { skip: server === undefined && !process.env.CI && 'no server can be started here' }, async (t) => {
    const { url, stop } = await startDemo(t, { DATABASE_URL: (server as PostgresServer).url })
    t.match(await (await fetch(`${url}/demo/about`)).json(), { store: 'PostgreSQL' })
    const { headers } = await fetch(url)
    t.match(headers.get('content-security-policy'), /^default-src 'none'; script-src 'self';(?!.*unsafe)/)
    const login = await fetch(`${url}/login`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"username":"bob","password":"builder"}' })
    const { access_token: token } = await login.json() as { access_token: string }
    t.equal((await fetch(`${url}/me`, { headers: { authorization: `Bearer ${token}` } })).status, 200)
    t.equal(await stop('SIGINT'), 0)
  })
})

t.test('the demo', { skip: installedChromium === undefined && 'no Chromium' }, async (t) => {
  const browser = await startChromium(t)
  const demo = await startDemo(t)

  const open = async (t: Test, options?: BrowserContextOptions, { url }: Demo = demo): Promise<Visit> => await visit(t, browser as Browser, url, options)
  const bothAhead = async (seconds: number, { ahead }: Visit): Promise<void> => {
    await demo.ahead(seconds)
    await ahead(seconds)
  }

  for (const colorScheme of ['light', 'dark'] as const) {
    for (const [device, options] of Object.entries({ desktop: {}, phone: PHONE })) {
      await t.test(`${colorScheme}, ${device}: everything has a name, can be read, and fits`, async (t) => {
        const { page, troubles } = await open(t, { ...options, colorScheme })
        await button(page, /^alice/).waitFor()
        t.same(await page.evaluate(FIND_FAULTS), [], 'logged out')
        await logIn(page)
        await says(page, 'this one')
        await page.getByText('The whole token').click()
        t.equal(await call(page, 'GET /me'), '200')
        t.same(await page.evaluate(FIND_FAULTS), [], 'logged in')
        await button(page, 'Log out').click()
        t.equal(await call(page, 'GET /me'), '401 SESSION_REVOKED')
        t.same(await page.evaluate(FIND_FAULTS), [], 'ended')
        const [red] = /\d+/.exec(await page.evaluate('getComputedStyle(document.body).backgroundColor') as string) ?? []
        t.equal(Number(red) > 127, colorScheme === 'light')
        t.same(troubles, [])
      })
    }
  }

  await t.test('every control can be reached by the keyboard, and is seen to have the focus', async (t) => {
    const { page } = await open(t)
    await button(page, /^alice/).waitFor()
    const reached = new Set<string>()
    for (let press = 0; press < 20; press++) {
      await page.keyboard.press('Tab')
      const [name, outline] = await page.evaluate('[document.activeElement.name || document.activeElement.ariaLabel || document.activeElement.textContent, getComputedStyle(document.activeElement).outlineStyle]') as [string, string]
      if (name.includes('Log in, watch')) break
      t.equal(outline, 'solid', name)
      reached.add(name.replace(/ .*/, ''))
    }
    for (const name of ['API', 'transport', 'username', 'password', 'path', 'alice', 'bob', 'Call']) t.ok(reached.has(name), name)

    await page.getByLabel('Username').fill('bob')
    await page.keyboard.press('Tab')
    await page.keyboard.type('builder')
    await page.keyboard.press('Enter')
    await says(page, 'Tokens in a header')
    t.equal(await page.evaluate('document.activeElement.textContent'), 'Your session', 'the focus is where the page goes on')
  })

  await t.test('with the header, roles decide what is answered, and a reload forgets the tokens', async (t) => {
    const { page, troubles } = await open(t)
    t.equal(await call(page, 'GET /open'), '200')
    t.equal(await call(page, 'GET /me'), '401 TOKEN_MISSING')
    await logIn(page, 'bob')
    t.match(await region(page, 'Access token').innerText(), /subject\s+bob\s+roles\s+reader[^]*generation\s+0/)
    t.equal(await call(page, 'GET /me'), '200')
    t.match(await region(page, 'Last answer').innerText(), /> Authorization: Bearer eyJ[^]*"source": "header"/)
    t.equal(await call(page, 'GET /admin'), '403 CLAIMS_INSUFFICIENT')
    t.match(await region(page, 'Last answer').innerText(), '< www-authenticate: Bearer error="insufficient_scope"')
    await button(page, 'Log out').click()
    await says(page, 'You have logged out')
    t.equal(await call(page, 'GET /me'), '401 SESSION_REVOKED', 'the token has not expired, and is refused')
    await logIn(page, 'alice')
    for (const route of ['GET /me', 'GET /drafts', 'GET /admin', 'POST /transfer']) t.equal(await call(page, route), '200')
    await page.reload()
    await region(page, 'Log in').waitFor()
    t.same(troubles, [])
  })

  await t.test('with cookies, no script sees a token, and a reload goes on', async (t) => {
    const { page, troubles } = await open(t)
    await logIn(page, 'alice', 'cookies')
    await says(page, 'document.cookie → ""')
    t.equal(await call(page, 'GET /me'), '200')
    t.match(await region(page, 'Last answer').innerText(), '"source": "cookie"')
    t.equal(await call(page, 'POST /transfer'), '200')
    await page.reload()
    await region(page, 'Your session').waitFor()
    t.equal(await call(page, 'GET /admin'), '200')
    await button(page, 'Log out').click()
    await says(page, 'You have logged out')
    t.equal(await call(page, 'GET /me'), '401 TOKEN_MISSING')
    await page.reload()
    await region(page, 'Log in').waitFor()
    t.same(await page.context().cookies(), [])
    t.same(troubles, [])
  })

  for (const transport of ['a header', 'cookies'] as const) {
    await t.test(`${transport}: the access token is seen to expire, one refresh renews it, and four at once do no harm`, async (t) => {
      const visited = await open(t)
      const { page, troubles } = visited
      await logIn(page, 'alice', transport)
      await says(page, /^(?:5\d|60) s left/)
      await bothAhead(61, visited)
      await says(page, 'Expired: refresh it')
      await says(page, 'The access token has expired.')
      t.match(await call(page, 'GET /me'), transport === 'cookies' ? /^401 TOKEN_(?:MISSING|EXPIRED)$/ : '401 TOKEN_EXPIRED')
      await button(page, 'Refresh').click()
      await says(page, 'Generation 0 is used up; this is generation 1.')
      await says(page, /^(?:5\d|60) s left/)
      t.equal(await call(page, 'GET /me'), '200')

      await bothAhead(LENIENCY, visited)
      await button(page, 'Refresh in four tabs at once').click()
      await says(page, `Four answers${transport === 'cookies' ? '' : ', all with the same refresh token'}: generation 1 became 2.`)
      t.equal(await call(page, 'GET /me'), '200')
      const events = await page.getByRole('log').innerText()
      t.match(events, 'alice got generation 2 once more')
      t.notMatch(events, 'session.re')
      if (transport === 'cookies') {
        await bothAhead(61, visited)
        await page.reload()
        await region(page, 'Your session').waitFor()
        t.equal(await call(page, 'GET /me'), '200', 'a reload renews what has expired')
      }
      t.same(troubles, [])
    })
  }

  await t.test('a stolen refresh token is caught when it is replayed, and the session ends for both', async (t) => {
    const visited = await open(t)
    const { page, troubles } = visited
    const steps = region(page, 'A stolen refresh token').getByRole('listitem')
    await logIn(page)
    await button(page, 'Replay the stolen token').click()
    await says(page, /You refresh in \d+ s/)
    await bothAhead(LENIENCY, visited)
    await says(page, 'the copy is of generation 0, yours of generation 1')
    await says(page, /The thief waits for \d+ s/)
    await bothAhead(LENIENCY, visited)
    await page.getByRole('heading', { name: 'Caught' }).waitFor()
    t.match(await steps.nth(3).innerText(), '401 REFRESH_TOKEN_INVALID')
    t.match(await steps.nth(4).innerText(), '401 SESSION_REVOKED')
    await says(page, 'A refresh token of this session was used twice')
    t.match(await page.getByRole('log').innerText(), /session\.reused\syours\sgeneration 0 of alice came back while 1 was current/)
    t.equal(await call(page, 'GET /me'), '401 SESSION_REVOKED')
    t.same(await page.evaluate(FIND_FAULTS), [])

    await logIn(page)
    await page.getByRole('heading', { name: 'Caught' }).waitFor({ state: 'hidden' })
    t.equal(await call(page, 'GET /me'), '200', 'a new login is a new session')
    t.same(troubles, [])
  })

  await t.test('a thief is caught also when the access token has expired and the copy is two generations old', async (t) => {
    const visited = await open(t)
    const { page } = visited
    await logIn(page)
    await bothAhead(LENIENCY, visited)
    await button(page, 'Refresh').click()
    await says(page, 'this is generation 1')
    await bothAhead(61, visited)
    await button(page, 'Replay the stolen token').click()
    await says(page, 'the copy is of generation 0, yours of generation 2')
    await says(page, /The thief waits for \d+ s/)
    await bothAhead(LENIENCY, visited)
    await page.getByRole('heading', { name: 'Caught' }).waitFor()
    t.match(await region(page, 'A stolen refresh token').getByRole('listitem').allInnerTexts(), [/./, /./, /./, /401 REFRESH_TOKEN_INVALID/, /401 SESSION_REVOKED/])
  })

  await t.test('a second browser is logged out from the first, and sees it at once', async (t) => {
    const [first, second] = [(await open(t)).page, (await open(t)).page]
    await register(first, 'carol')
    await region(first, 'Your session').waitFor()
    t.match(await region(first, 'Access token').innerText(), /roles\s+reader/)
    await register(second, 'carol')
    await says(second, 'The username is taken')
    await button(second, 'Log in').click()
    await region(second, 'Your session').waitFor()

    await region(first, 'Your sessions').getByRole('listitem').nth(1).waitFor()
    t.match(await region(first, 'Your sessions').innerText(), /Chrome on Linux\sthis one\s[^]*seen now[^]*Chrome on Linux/)
    await region(first, 'Your sessions').getByRole('listitem').filter({ hasNotText: 'this one' }).getByRole('button').click()
    await says(second, 'This session was ended from elsewhere')
    t.equal(await call(second, 'GET /me'), '401 SESSION_REVOKED')
    t.equal(await call(first, 'GET /me'), '200')
    t.equal(await region(first, 'Your sessions').getByRole('listitem').count(), 1)
  })

  await t.test('a logout everywhere ends the sessions of all browsers, also when its access token has expired', async (t) => {
    const visits = [await open(t), await open(t)] as const
    for (const { page } of visits) await logIn(page, 'bob')
    for (const { ahead } of visits) await ahead(61)
    await demo.ahead(61)
    await button(visits[0].page, 'Log out everywhere').click()
    await says(visits[0].page, 'You have logged out everywhere')
    await says(visits[1].page, 'This session was ended from elsewhere')
  })

  await t.test('a sensitive route asks for the password again, and is answered after that', async (t) => {
    const visited = await open(t)
    const { page } = visited
    await register(page, 'dora')
    await region(page, 'Your session').waitFor()
    await bothAhead(31, visited)
    t.equal(await call(page, 'GET /me'), '200')
    await button(page, 'Call POST /transfer').click()
    const dialog = page.getByRole('dialog', { name: 'Is it still you?' })
    await dialog.waitFor()
    t.equal(await page.evaluate('document.activeElement.id'), 'again')
    t.same(await page.evaluate(FIND_FAULTS), [])
    t.match(await region(page, 'Last answer').innerText(), 'max_age=30')
    await dialog.getByLabel('Password').fill('wrong')
    await page.keyboard.press('Enter')
    await says(page, 'The credentials are not valid.')
    await dialog.getByLabel('Password').fill('correct horse')
    await page.keyboard.press('Enter')
    await dialog.waitFor({ state: 'hidden' })
    await page.locator('li', { hasText: 'POST /transfer' }).getByText('200').waitFor()
    await says(page, 'a session of dora has ended: logout')
    t.equal(await region(page, 'Your sessions').getByRole('listitem').count(), 1, 'the session before has ended')
    await bothAhead(31, visited)
    await button(page, 'Call POST /transfer').click()
    await dialog.waitFor()
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'hidden' })
    await page.locator('li', { hasText: 'POST /transfer' }).getByText('401 REAUTHENTICATION_REQUIRED').waitFor()
  })

  await t.test('what people type is shown as they typed it', async (t) => {
    const { page, troubles } = await open(t)
    const name = '<img src=x onerror=alert(1)>'
    await register(page, name)
    await says(page, `${name} opened a session`)
    t.equal(await page.locator('#who').innerText(), name)
    t.equal(await page.locator('img').count(), 0)
    t.same(troubles, [])
  })

  await t.test('wrong credentials are refused, and after five of them nobody looks any more', async (t) => {
    const { page, troubles } = await open(t)
    const form = page.locator('#login')
    await form.getByLabel('Username').fill('erin')
    await form.getByLabel('Password').fill('guess')
    for (let attempt = 1; attempt <= 6; attempt++) {
      await button(page, 'Log in').click()
      await page.locator('[aria-busy=true]').waitFor({ state: 'detached' })
      t.match(await region(page, 'Last answer').innerText(), attempt <= 5 ? '401 INVALID_CREDENTIALS' : '429 TOO_MANY_ATTEMPTS')
    }
    await says(page, 'somebody has tried too often')
    t.same(troubles, [])
  })

  await t.test('the API is described', async (t) => {
    const { page, troubles } = await visit(t, browser, `${demo.url}/docs`)
    for (const path of ['/login', '/refresh', '/sessions', '/transfer']) await page.locator(`[data-path="${path}"]`).first().waitFor()
    t.same(troubles, [])
  })

  await t.test('Redis stops under it: the page says so, requests get 503, and the session goes on when it is back', { skip: installedRedis.length === 0 && 'no redis-server' }, async (t) => {
    const redis = await startRedis(t, { args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
    const onRedis = await startDemo(t, { REDIS_URL: `redis://127.0.0.1:${redis.port}` })
    const { page, troubles } = await open(t, {}, onRedis)
    await says(page, 'Sessions live in Redis')
    await logIn(page)
    t.equal(await call(page, 'GET /me'), '200')
    await redis.stop()
    await says(page, 'nobody is let in, and nobody is logged out')
    // For as long as its link to the store may be trusted, the server goes on with what it remembers.
    for (let attempt = 0; attempt < 100 && await call(page, 'GET /me') === '200'; attempt++) await setTimeout(50)
    t.equal(await call(page, 'GET /me'), '503 STORE_UNAVAILABLE')
    t.match(await region(page, 'Last answer').innerText(), '< retry-after: 1')
    await button(page, 'Log out').click()
    await page.getByText('POST /logout').waitFor()
    await region(page, 'Your session').waitFor()
    t.same(await page.evaluate(FIND_FAULTS), [])
    await redis.restart()
    await says(page, 'Redis is back.')
    t.equal(await call(page, 'GET /me'), '200')
    await button(page, 'Log out').click()
    await says(page, 'You have logged out')
    t.same(troubles, [])
    t.equal(await onRedis.stop('SIGTERM'), 0)
  })

  t.equal(await demo.stop('SIGTERM'), 0, 'a signal closes it')
  t.notMatch(demo.output(), /"level":50/, 'no request failed')
})

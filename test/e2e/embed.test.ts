// The form in a real browser: the hosted page without JavaScript, and /embed.js on a page of somebody else's, from another port,
// under a policy that lets in nothing but our script.
import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Product } from './product.ts'
import { type Stack, startStack, until } from './stack.ts'

const EXECUTABLE = [
  process.env['CHROMIUM_PATH'] ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
].find((path) => path !== '' && existsSync(path))

interface FoundLead {
  id: string
  status: string
  contact: { email: string }
  page_url: string | null
  utm: Record<string, string> | null
}

let stack: Stack
let product: Product
let browser: Browser
let site: Server
let shop: string
let trouble: string[] = []

/** The page of somebody else, with the policy that its owner chose. */
let markup = ''
let policy = ''

beforeAll(async () => {
  if (EXECUTABLE === undefined) return
  stack = await startStack()
  product = new Product(stack)
  browser = await chromium.launch({ executablePath: EXECUTABLE, args: ['--no-sandbox'] })
  site = createServer((request, response) => {
    const own = request.url?.startsWith('/frame') ? {} : { 'Content-Security-Policy': policy }
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', ...own })
    response.end(
      `<!doctype html><html lang="en"><meta charset="utf-8"><title>Shop</title><link rel="icon" href="data:,"><body><h1>Shop</h1>${markup}</body></html>`,
    )
  })
  await new Promise<void>((done) => site.listen(0, '127.0.0.1', done))
  shop = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
})

afterAll(async () => {
  await browser?.close()
  site?.close()
})

beforeEach(({ skip }) => {
  if (EXECUTABLE === undefined) skip('there is no Chromium here; install one or set CHROMIUM_PATH')
  markup = `<script src="${stack.api}/embed.js" data-form="demo" defer></script>`
  policy = `default-src 'none'; script-src ${stack.api}; connect-src ${stack.api}; img-src data:`
  trouble = []
})

afterEach(async () => {
  for (const context of browser?.contexts() ?? []) await context.close()
})

async function open(url: string, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ locale: 'en-GB', ...options })
  const page = await context.newPage()
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) trouble.push(message.text())
  })
  page.on('pageerror', (error) => trouble.push(error.message))
  await page.addInitScript(
    `addEventListener('securitypolicyviolation', (e) => console.error('CSP: ' + e.violatedDirective + ' ' + e.blockedURI))`,
  )
  await page.goto(url)
  return page
}

async function leadsOf(email: string): Promise<FoundLead[]> {
  const { data } = await product.get<{ data: FoundLead[] }>('/leads?limit=200')
  return data.filter(({ contact }) => contact.email === email)
}

async function fill(page: Page, email: string, message: string): Promise<void> {
  await page.locator('input[type=email]').fill(email)
  await page.locator('textarea').fill(message)
  // A person takes longer than a program.
  await page.waitForTimeout(2100)
}

const submit = (page: Page) => page.locator('button[type=submit]').click()

describe('/embed.js on a foreign page', () => {
  it('draws the form and sends a lead, under a strict policy and without a complaint', async () => {
    const page = await open(`${shop}/contact?utm_source=ad`)
    await page.getByLabel('E-mail address').waitFor()
    await fill(page, 'ada@embed.test', 'What do 10 seats cost?')
    await submit(page)
    await page.getByRole('status').getByText('Your message has arrived').waitFor()
    expect(await page.locator('input[type=email]').count()).toBe(0)
    expect(trouble).toEqual([])
    const [lead, ...more] = await leadsOf('ada@embed.test')
    expect(more).toEqual([])
    expect(lead).toMatchObject({ status: expect.not.stringContaining('spam') })
  })

  it('speaks the language of the page', async () => {
    markup = markup.replace('defer', 'data-lang="de" defer')
    const page = await open(shop)
    await page.getByLabel('E-Mail-Adresse').waitFor()
    await page.getByRole('button', { name: 'Nachricht senden' }).waitFor()
  })

  it('keeps what was typed when something is wrong, and says what', async () => {
    const page = await open(shop)
    await fill(page, 'ada@localhost', 'Keep me')
    await submit(page)
    await page.getByRole('status').getByText('Please enter an e-mail address').waitFor()
    expect(await page.locator('textarea').inputValue()).toBe('Keep me')
    expect(await page.locator('input[type=email]').getAttribute('aria-invalid')).toBe('true')
    await page.locator('input[type=email]').fill('ada@mended.test')
    await submit(page)
    await page.getByText('Your message has arrived').waitFor()
    expect(await leadsOf('ada@mended.test')).toHaveLength(1)
  })

  it('tries again by itself under the same key when the network fails, the service rests, or the answer is lost', async () => {
    const keys: (string | undefined)[] = []
    const page = await open(shop)
    await page.route('**/lead/demo**', async (route) => {
      if (route.request().method() !== 'POST') return await route.continue()
      keys.push(route.request().headers()['idempotency-key'])
      if (keys.length === 1) return await route.abort('connectionreset')
      if (keys.length === 2)
        return await route.fulfill({
          status: 503,
          headers: {
            'Retry-After': '1',
            'Access-Control-Allow-Origin': '*',
            'Access-Control-Expose-Headers': 'Retry-After',
          },
        })
      // It arrives, and nobody hears so.
      if (keys.length === 3) {
        await route.fetch()
        return await route.abort('connectionreset')
      }
      return await route.continue()
    })
    await fill(page, 'ada@retry.test', 'Once, please')
    await submit(page)
    await page.getByText('Your message has arrived').waitFor({ timeout: 30_000 })
    expect(keys).toHaveLength(4)
    expect(new Set(keys).size).toBe(1)
    expect(await leadsOf('ada@retry.test')).toHaveLength(1)
  })

  it('sends a double click once', async () => {
    const page = await open(shop)
    await fill(page, 'ada@twice.test', 'Once, please')
    await page.locator('button[type=submit]').dblclick()
    await page.getByText('Your message has arrived').waitFor()
    expect(await leadsOf('ada@twice.test')).toHaveLength(1)
  })

  it('gives a way to write where the form cannot be drawn', async () => {
    markup = markup.replace('data-form="demo"', 'data-form="no-such-form"')
    const page = await open(shop)
    expect(await page.locator('a').getAttribute('href')).toBe(`${stack.api}/f/no-such-form`)
  })

  it('binds a form of the page’s own, with names of its own', async () => {
    markup = `<form data-inlet-form="demo"><input name="email" type="email" aria-label="Mail"><textarea name="message"></textarea><input name="colour" value="red"><button type="submit">Go</button><p data-inlet-status></p></form><script src="${stack.api}/embed.js" defer></script>`
    const page = await open(shop)
    await page.locator('input[name=_comments]').waitFor({ state: 'attached' })
    await fill(page, 'ada@bound.test', 'Mine')
    await submit(page)
    await page.locator('[data-inlet-status]').getByText('Your message has arrived').waitFor()
    expect(await page.locator('textarea').inputValue()).toBe('')
    expect(trouble).toEqual([])
    const [lead] = await leadsOf('ada@bound.test')
    expect(lead).toMatchObject({ custom: { colour: 'red' } })
  })

  it('loads Turnstile only where it is configured, and sends its token', async () => {
    policy = policy.replace(stack.api, `${stack.api} https://challenges.cloudflare.com`)
    const page = await open('about:blank')
    const asked: string[] = []
    await page.route('https://challenges.cloudflare.com/**', async (route) => {
      asked.push(route.request().url())
      await route.fulfill({
        contentType: 'text/javascript',
        body: `window.turnstile = { render: (at, o) => { at.textContent = o.action + ' ' + o.sitekey; o.callback('a-token'); return 'w' }, reset: () => {} }`,
      })
    })
    await page.goto(shop)
    await page.getByLabel('E-mail address').waitFor()
    expect(asked).toEqual([])
    let body = ''
    await page.route('**/lead/demo**', async (route) => {
      if (route.request().method() === 'POST') {
        body = route.request().postData() ?? ''
        return await route.continue()
      }
      const response = await route.fetch()
      return await route.fulfill({
        response,
        json: { ...(await response.json()), turnstile_site_key: 'key' },
      })
    })
    await page.goto(shop)
    await page.getByText('lead key').waitFor()
    await fill(page, 'ada@turnstile.test', 'Hi')
    await submit(page)
    await page.getByText('Your message has arrived').waitFor()
    expect(asked).toHaveLength(1)
    expect(body).toContain('a-token')
  })
})

describe('the hosted form', () => {
  it('works without JavaScript: what is wrong, put right, and thanked', async () => {
    const page = await open(`${stack.api}/f/demo`, { javaScriptEnabled: false })
    await fill(page, 'ada@localhost', 'Without a script')
    await submit(page)
    await page.getByRole('alert').getByText('Please enter an e-mail address').waitFor()
    expect(await page.locator('textarea').inputValue()).toBe('Without a script')
    await page.locator('#email').fill('ada@hosted.test')
    await submit(page)
    await page.getByRole('heading', { name: 'Thank you' }).waitFor()
    expect(await leadsOf('ada@hosted.test')).toHaveLength(1)
  })

  it('may always post, sends a browser where the organization says, and stands in its frames alone', async () => {
    const organization_id = await product.organizationId()
    const set = (change: object) => product.operator(`/admin/clients/${organization_id}`, 'PATCH', change)
    const frame = `<iframe src="${stack.api}/f/demo" title="Form" width="600" height="700"></iframe>`
    markup = 'Thanks'
    await set({ form_allowed_origins: ['https://elsewhere.test'], form_redirect_url: `${shop}/frame/thanks` })
    try {
      const page = await open(`${stack.api}/f/demo`)
      await fill(page, 'ada@allowed.test', 'From our own page')
      await submit(page)
      await page.waitForURL(`${shop}/frame/thanks`)
      expect(trouble).toEqual([])
      expect(await leadsOf('ada@allowed.test')).toHaveLength(1)

      markup = frame
      const stranger = await open(`${shop}/frame`)
      await until('the frame is refused', () => trouble.some((text) => text.includes('frame-ancestors')))
      expect(await stranger.frameLocator('iframe').locator('form').count()).toBe(0)

      markup = `<script src="${stack.api}/embed.js" data-form="demo" defer></script>`
      const refused = await open(shop)
      await fill(refused, 'ada@refused.test', 'From a page that may not')
      await submit(refused)
      await refused.getByText('could not be stored just now').waitFor({ timeout: 30_000 })
      expect(await leadsOf('ada@refused.test')).toEqual([])
    } finally {
      await set({ form_allowed_origins: [], form_redirect_url: null })
    }
    markup = frame
    const framed = (await open(`${shop}/frame`)).frameLocator('iframe')
    await framed.locator('#email').fill('ada@framed.test')
    await framed.locator('textarea').fill('From a frame')
    await new Promise((done) => setTimeout(done, 2100))
    await framed.locator('button').click()
    await framed.getByRole('heading', { name: 'Thank you' }).waitFor()
    expect(await leadsOf('ada@framed.test')).toHaveLength(1)
  })
})

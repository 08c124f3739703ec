// What a browser shows of the form: pages, redirects and words, whoever tries to write into them.
import { eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { leads } from '#db/schema/leads'
import { organizations } from '#db/schema/organizations'
import { createWorld, type World } from '#test/world'

const BROWSER = { Accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }
const FORM = { ...BROWSER, 'Content-Type': 'application/x-www-form-urlencoded' }
const fields = { email: 'ada@buyer.test', message: 'Hi' }

const show = async (world: World, path: string, headers: Record<string, string> = BROWSER) => {
  const response = await world.request('GET', path, { headers })
  return { response, status: response.status, text: await response.text() }
}
const submit = async (
  world: World,
  slug: string,
  body: Record<string, string> | [string, string][] = fields,
  headers: Record<string, string> = {},
) => {
  const response = await world.request('POST', `/lead/${slug}`, {
    body: new URLSearchParams(body).toString(),
    headers: { ...FORM, ...headers },
  })
  return { response, status: response.status, text: await response.text() }
}
const type = (response: Response) => response.headers.get('Content-Type')
const policy = (response: Response) =>
  Object.fromEntries(
    (response.headers.get('Content-Security-Policy') ?? '').split('; ').map((directive) => {
      const [name = '', ...sources] = directive.split(' ')
      return [name, sources.join(' ')]
    }),
  )

describe('the hosted form', () => {
  it('is drawn in one round trip, without a script, under a policy that lets nothing else in', async () => {
    const world = createWorld()
    const org = await world.organization({ name: 'Analytical Engines' })
    const { response, status, text } = await show(world, `/f/${org.slug}`)
    expect([status, type(response), response.headers.get('Cache-Control')]).toEqual([
      200,
      'text/html; charset=UTF-8',
      'private, no-cache',
    ])
    expect(response.headers.get('Server-Timing')).toContain('desc="1"')
    // Else a browser would hide from us that the post comes from our own page.
    expect(response.headers.get('Referrer-Policy')).toBe('same-origin')
    expect(policy(response)).toEqual({
      'default-src': "'none'",
      'style-src': expect.stringMatching(/^'sha256-[\w+/]{43}='$/),
      'img-src': 'data:',
      'form-action': "'self'",
      'base-uri': "'none'",
      'frame-ancestors': '*',
    })
    expect(text).toContain('Analytical Engines')
    expect(text).not.toMatch(/<script|style="|onclick|https?:/)
    for (const name of ['name', 'email', 'company', 'phone', 'message'])
      expect(text).toContain(`<label for="${name}">`)
    expect(text).toMatch(/<input type="email" id="email" name="email" autocomplete="email"[^>]* required/)
  })

  it('has the style that its policy names', async () => {
    const world = createWorld()
    const org = await world.organization()
    const { response, text } = await show(world, `/f/${org.slug}`)
    const style = /<style>([^]*?)<\/style>/.exec(text)?.[1] ?? ''
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(style))
    expect(policy(response)['style-src']).toBe(
      `'sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}'`,
    )
  })

  it.each([
    ['?lang=de', {}, 'de', 'Nachricht senden'],
    ['', { 'Accept-Language': 'fr-CH,en;q=0.5' }, 'fr', 'Envoyer le message'],
    ['?lang=es', { 'Accept-Language': 'de' }, 'es', 'Enviar mensaje'],
    ['?lang="><script>', {}, 'en', 'Send message'],
  ])('speaks the language of %s %j', async (query, headers, language, words) => {
    const world = createWorld()
    const org = await world.organization()
    const { text, response } = await show(world, `/f/${org.slug}${query}`, { ...BROWSER, ...headers })
    expect(text).toContain(`<html lang="${language}">`)
    expect(text).toContain(words)
    expect(response.headers.get('Content-Language')).toBe(language)
  })

  it('may stand in the frames of the pages that may post, and lets a redirect through', async () => {
    const world = createWorld()
    const org = await world.organization({
      form_allowed_origins: ['https://shop.test', 'https://www.shop.test'],
      form_redirect_url: 'https://shop.test/thanks',
    })
    expect(policy((await show(world, `/f/${org.slug}`)).response)).toMatchObject({
      'frame-ancestors': "'self' https://shop.test https://www.shop.test",
      'form-action': "'self' https:",
    })
  })

  it('loads Turnstile only where it is configured', async () => {
    const world = createWorld({ TURNSTILE_SECRET_KEY: 's', TURNSTILE_SITE_KEY: '"site-key' })
    const org = await world.organization()
    const { response, text } = await show(world, `/f/${org.slug}`)
    expect(policy(response)).toMatchObject({
      'script-src': 'https://challenges.cloudflare.com',
      'frame-src': 'https://challenges.cloudflare.com',
    })
    expect(text).toContain('class="cf-turnstile" data-sitekey="&quot;site-key" data-action="lead"')
  })

  it('hides its trap from people and from what fills in forms for them', async () => {
    const world = createWorld()
    const org = await world.organization()
    expect((await show(world, `/f/${org.slug}`)).text).toMatch(
      /<div class="hp" aria-hidden="true">[^]*name="_comments" type="text" tabindex="-1" autocomplete="off" data-1p-ignore/,
    )
  })

  it('that nobody has is a page that says so, to a program a problem', async () => {
    const world = createWorld()
    const page = await show(world, '/f/no-such-form')
    expect([page.status, type(page.response), page.text]).toEqual([
      404,
      'text/html; charset=UTF-8',
      expect.stringContaining('There is no such form'),
    ])
    const program = await show(world, '/f/no-such-form', {})
    expect([program.status, type(program.response)]).toEqual([404, 'application/problem+json'])
  })

  it('is where a browser gets to that opens the address of the post', async () => {
    const world = createWorld()
    const { response } = await show(world, '/lead/demo')
    expect([response.status, response.headers.get('Location')]).toEqual([302, '/f/demo'])
  })

  it('keeps the name of an organization out of its markup', async () => {
    const world = createWorld()
    const org = await world.organization({ name: '</title><script>alert(1)</script>' })
    expect((await show(world, `/f/${org.slug}`)).text).not.toContain('<script>alert')
  })
})

describe('a browser that posted a form', () => {
  it('is thanked, and again after a double click', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    for (const _ of [1, 2]) {
      const { response, status, text } = await submit(world, org.slug)
      expect([status, type(response), text]).toEqual([
        200,
        'text/html; charset=UTF-8',
        expect.stringContaining('Your message has arrived'),
      ])
    }
  })

  it('is thanked as a program that filled in the trap', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    const person = await submit(world, org.slug)
    const bot = await submit(world, org.slug, { ...fields, email: 'bot@spam.test', _comments: 'pills' })
    expect([bot.status, bot.text]).toEqual([person.status, person.text])
    const [found] = await world.sql(
      q.select({ status: leads.status }).from(leads).where(eq(leads.org_id, org.id)),
    )
    expect(found.map(({ status }) => status).toSorted((a, b) => a.localeCompare(b))).toEqual([
      'received',
      'spam',
    ])
  })

  it('is sent to the page that the organization chose, and again after a double click', async () => {
    const world = createWorld()
    const org = await world.organization({
      reply_mode: 'off',
      form_redirect_url: 'https://shop.test/thanks?a=b#c',
    })
    for (const _ of [1, 2]) {
      const { response, status } = await submit(world, org.slug)
      expect([status, response.headers.get('Location')]).toEqual([303, 'https://shop.test/thanks?a=b#c'])
    }
  })

  it.each([
    ['javascript:alert(1)', null],
    ['data:text/html,x', null],
    ['https://shop.test/\r\nSet-Cookie: a=b', 'https://shop.test/Set-Cookie:%20a=b'],
    ['//evil.test', null],
  ])('is never sent to %j as it is', async (url, location) => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    // Past the settings' own check.
    await world.sql(
      q.update(organizations).set({ form_redirect_url: url }).where(eq(organizations.id, org.id)),
    )
    const { response, status } = await submit(world, org.slug)
    expect([status, response.headers.get('Location'), response.headers.get('Set-Cookie')]).toEqual([
      location === null ? 200 : 303,
      location,
      null,
    ])
  })

  it('takes no redirect from the form itself', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    const { status } = await submit(world, org.slug, {
      ...fields,
      redirect: 'https://evil.test',
      _next: 'https://evil.test',
      form_redirect_url: 'https://evil.test',
    })
    expect(status).toBe(200)
  })

  it('is shown what is wrong, with all that it typed and the way to send it again', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    const { response, status, text } = await submit(world, `${org.slug}?lang=de`, [
      ['email', 'ada@localhost'],
      ['message', 'Hallo'],
      ['Farbe', 'rot'],
      ['_t', 'token-of-the-first-page'],
      ['_comments', ''],
    ])
    expect([status, type(response)]).toEqual([400, 'text/html; charset=UTF-8'])
    expect(text).toContain('role="alert" tabindex="-1" autofocus')
    expect(text).toContain('<a href="#email">Bitte geben Sie eine E-Mail-Adresse')
    expect(text).toMatch(
      /id="email"[^>]*aria-invalid="true" aria-describedby="email-error" value="ada@localhost"/,
    )
    expect(text).toContain('>Hallo</textarea>')
    expect(text).toContain('<input type="hidden" name="Farbe" value="rot">')
    expect(text).toContain('<input type="hidden" name="_t" value="token-of-the-first-page">')
    expect(text.match(/name="_comments"/g)).toHaveLength(1)
  })

  it.each(['email', 'name', 'company', 'phone', 'message', 'service', 'page_url', 'x', '_t', '"><script>x'])(
    'cannot write markup into the page by the field %s',
    async (name) => {
      const world = createWorld()
      const org = await world.organization()
      const attack = `"><script>alert(1)</script></textarea><img src=x onerror=alert(1)>'`
      const { text, status } = await submit(world, org.slug, [
        ['email', 'nobody'],
        [name, attack],
      ])
      expect(status).toBe(400)
      expect(text).not.toContain('<script>')
      expect(text).not.toContain('<img')
      expect(text).not.toContain('alert(1)>')
    },
  )

  it.each([
    ['403', { form_allowed_origins: ['https://shop.test'] }, fields, 403, 'may not send messages'],
    ['413', {}, { ...fields, message: 'x'.repeat(70_000) }, 413, 'too large'],
    ['a field that is too long', {}, { ...fields, name: 'x'.repeat(201) }, 400, 'This is too long'],
  ])('gets a page for %s, never JSON', async (_what, given, body, status, words) => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off', ...given })
    const answer = await submit(world, org.slug, body)
    expect([answer.status, type(answer.response), answer.text]).toEqual([
      status,
      'text/html; charset=UTF-8',
      expect.stringContaining(words),
    ])
    expect(policy(answer.response)['default-src']).toBe("'none'")
  })

  it('gets a page for a form that nobody has, and for a type that we do not take', async () => {
    const world = createWorld()
    const nowhere = await submit(world, 'no-such-form')
    expect([nowhere.status, type(nowhere.response)]).toEqual([404, 'text/html; charset=UTF-8'])
    const odd = await submit(world, 'demo', fields, { 'Content-Type': 'text/plain' })
    expect([odd.status, type(odd.response)]).toEqual([415, 'text/html; charset=UTF-8'])
  })

  it('is told how long to wait, keeps its words, and the header stays', async () => {
    const world = createWorld({ RATE_LIMIT_FORM_ORGANIZATION_PER_MINUTE: '1' })
    const org = await world.organization({ reply_mode: 'off' })
    await submit(world, org.slug)
    const { response, status, text } = await submit(world, org.slug, { ...fields, message: 'Second' })
    expect([status, text]).toEqual([429, expect.stringContaining('>Second</textarea>')])
    expect(text).toContain(`Please wait ${response.headers.get('Retry-After')} seconds`)
  })

  it('tries again with a fresh challenge when Turnstile refused the first', async () => {
    const world = createWorld({ TURNSTILE_SECRET_KEY: 's', TURNSTILE_SITE_KEY: 'k' })
    const org = await world.organization()
    const { status, text } = await submit(world, org.slug, { ...fields, 'cf-turnstile-response': '' })
    expect([status, text]).toEqual([422, expect.stringContaining('confirm once more that you are a person')])
    expect(text).toContain('class="cf-turnstile"')
    expect(text).not.toContain('name="cf-turnstile-response"')
  })

  it('gets a page also where the site key of Turnstile is missing', async () => {
    const world = createWorld({ TURNSTILE_SECRET_KEY: 's' })
    const org = await world.organization()
    const { response, status } = await submit(world, org.slug)
    expect([status, type(response)]).toEqual([422, 'text/html; charset=UTF-8'])
    const form = await show(world, `/f/${org.slug}`)
    expect([form.status, type(form.response)]).toEqual([503, 'text/html; charset=UTF-8'])
  })

  it('that sends JSON gets JSON, and one that wants no page gets none', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    const json = await world.request('POST', `/lead/${org.slug}`, { body: fields, headers: BROWSER })
    expect([json.status, type(json)]).toEqual([201, 'application/json'])
    const curl = await submit(world, org.slug, { ...fields, message: 'b' }, { Accept: '*/*' })
    expect([curl.status, type(curl.response)]).toEqual([201, 'application/json'])
  })
})

describe('/embed.js', () => {
  const script = 'void 0'
  const withAssets = (status = 200) => {
    const world = createWorld()
    const asked: string[] = []
    world.env.ASSETS = {
      fetch: async (input: RequestInfo) => {
        asked.push(new URL(new Request(input).url).pathname)
        return new Response(status === 304 ? null : script, {
          status,
          headers: { ETag: '"abc"', 'Content-Type': 'text/javascript' },
        })
      },
    } as Fetcher
    return { world, asked }
  }

  it('may be loaded by any page, is kept for an hour, and asked for by its ETag then', async () => {
    const { world, asked } = withAssets()
    const response = await world.request('GET', '/embed.js', { headers: { Origin: 'https://any.test' } })
    expect([
      response.status,
      type(response),
      response.headers.get('ETag'),
      response.headers.get('Cache-Control'),
      response.headers.get('Access-Control-Allow-Origin'),
      response.headers.get('Cross-Origin-Resource-Policy'),
      await response.text(),
      asked,
    ]).toEqual([
      200,
      'text/javascript; charset=utf-8',
      '"abc"',
      'public, max-age=3600, stale-while-revalidate=86400',
      '*',
      'cross-origin',
      script,
      ['/embed.js'],
    ])
  })

  it('is not sent again to who has it', async () => {
    const { world } = withAssets(304)
    const response = await world.request('GET', '/embed.js', { headers: { 'If-None-Match': '"abc"' } })
    expect([response.status, response.headers.get('ETag')]).toEqual([304, '"abc"'])
  })

  it('is not found where it was not built', async () => {
    const { world } = withAssets(404)
    expect((await world.request('GET', '/embed.js')).status).toBe(404)
  })
})

import { and, eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { mail_templates } from '#db/schema/sending'
import { describeSecurity } from '#test/security'
import { createWorld, read, type World } from '#test/world'

interface Template {
  kind: string
  subject: string
  body: string
  built_in: boolean
  variables: { name: string; description: string; from_outside: boolean }[]
  updated_by: string | null
  updated_at: string | null
}
interface Problem {
  code: string
  errors?: { path: string; message: string }[]
}

async function createScene(settings: Parameters<World['organization']>[0] = {}) {
  const world = createWorld()
  const org = await world.organization({ name: 'Shop', ...settings })
  const [admin, agent] = [await org.as('admin'), await org.as('agent')]
  const ask =
    (token: string) => (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
      world.request(method, `/api/v1/mail-templates${path}`, {
        token,
        ...(body === undefined ? {} : { body }),
        ...(headers ? { headers } : {}),
      })
  return { world, org, admin, request: ask(admin.token), asAgent: ask(agent.token) }
}

const mine = {
  subject: 'Thank you, {{ contact_name | default: "friend" }}',
  body: 'Hello from {{ organization_name }}.',
}

const problemsOf = async (response: Response) => {
  const { status, body } = await read<Problem>(response)
  return { status, code: body.code, errors: body.errors }
}

describe('GET /mail-templates', () => {
  it('shows our own words until there are others, and what each may name', async () => {
    const { asAgent } = await createScene()
    const { status, body } = await read<{ data: Template[]; next_cursor: null }>(await asAgent('GET', ''))
    expect({ status, next_cursor: body.next_cursor }).toEqual({ status: 200, next_cursor: null })
    expect(
      body.data.map(({ kind, built_in, updated_at, updated_by }) => [kind, built_in, updated_at, updated_by]),
    ).toEqual([
      ['welcome', true, null, null],
      ['admin_alert', true, null, null],
    ])
    const outside = (kind: string) =>
      body.data
        .find((one) => one.kind === kind)
        ?.variables.flatMap(({ name, from_outside }) => (from_outside ? [name] : []))
    expect(outside('welcome')).toEqual(['contact_name', 'contact_company'])
    expect(outside('admin_alert')).toEqual([
      'contact_name',
      'contact_company',
      'contact_email',
      'contact_phone',
      'lead_source',
      'lead_text',
    ])
  })

  it('acknowledges with nothing that a stranger could have written', async () => {
    const { request } = await createScene()
    const { body } = await read<Template>(await request('GET', '/welcome'))
    for (const { name } of body.variables.filter(({ from_outside }) => from_outside))
      expect(body.subject + body.body).not.toContain(name)
  })

  it('knows no other kind', async () => {
    const { request } = await createScene()
    expect((await request('GET', '/magic_link')).status).toBe(400)
  })
})

describe('PUT /mail-templates/{kind}', () => {
  it('saves the words of the organization, with an audit entry that holds none of them', async () => {
    const { world, org, admin, request, asAgent } = await createScene()
    const saved = await request('PUT', '/welcome', mine)
    const etag = saved.headers.get('ETag')
    const { status, body } = await read<Template>(saved)
    expect({ status, ...body, variables: 0 }).toEqual({
      status: 200,
      kind: 'welcome',
      ...mine,
      built_in: false,
      variables: 0,
      updated_by: admin.id,
      updated_at: expect.any(String),
    })
    const shown = await asAgent('GET', '/welcome')
    expect([shown.headers.get('ETag'), ((await shown.json()) as Template).body]).toEqual([etag, mine.body])
    const [audit] = await world.sql(
      q
        .select()
        .from(audit_logs)
        .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.entity, 'mail_template'))),
    )
    expect(
      audit.map(({ action, entity_id, actor_id, fields }) => ({ action, entity_id, actor_id, fields })),
    ).toEqual([
      {
        action: 'mail_template.saved',
        entity_id: 'welcome',
        actor_id: admin.id,
        fields: ['subject', 'body'],
      },
    ])
  })

  it('is one organization’s alone', async () => {
    const { world, request } = await createScene()
    await request('PUT', '/welcome', mine)
    const stranger = await (await world.organization()).as('owner')
    const { body } = await read<Template>(
      await world.request('GET', '/api/v1/mail-templates/welcome', { token: stranger.token }),
    )
    expect(body.built_in).toBe(true)
  })

  it('keeps to If-Match: our own words, a version, or any', async () => {
    const { request } = await createScene()
    const first = (await request('GET', '/welcome')).headers.get('ETag') ?? ''
    const put = async (etag: string, subject: string) =>
      request('PUT', '/welcome', { ...mine, subject }, { 'If-Match': etag })
    const saved = await put(first, 'One')
    expect(saved.status).toBe(200)
    const second = saved.headers.get('ETag') ?? ''
    expect((await put(first, 'Two')).status).toBe(412)
    expect((await put('"nonsense"', 'Two')).status).toBe(412)
    const again = await put(second, 'Two')
    expect([again.status, again.headers.get('ETag') === second]).toEqual([200, false])
    expect((await put('*', 'Three')).status).toBe(200)
    expect((await request('PUT', '/welcome', { ...mine, subject: 'Four' })).status).toBe(200)
  })

  it('lets one of many who save the same version at once win', async () => {
    const { world, org, request } = await createScene()
    const etag = (await request('GET', '/welcome')).headers.get('ETag') ?? ''
    const answers = await Promise.all(
      Array.from({ length: 5 }, (_, i) =>
        request('PUT', '/welcome', { ...mine, subject: `S${i}` }, { 'If-Match': etag }),
      ),
    )
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 412, 412, 412, 412])
    const [rows] = await world.sql(q.select().from(mail_templates).where(eq(mail_templates.org_id, org.id)))
    expect(rows).toHaveLength(1)
  })

  it.each<[string, string, string]>([
    ['an unknown variable', 'Hello\n\n{{ contact_nmae }}', 'Line 3: There is no variable contact_nmae'],
    [
      'one in a branch that no sample takes',
      'a\n{% if false %}{{ nope }}{% endif %}',
      'Line 2: There is no variable nope',
    ],
    ['a variable that another kind has', '{{ lead_text }}', 'Line 1: There is no variable lead_text'],
    [
      'a part of a variable',
      '{{ contact_name.constructor }}',
      'Line 1: There is no variable contact_name.constructor',
    ],
    ['a mistake', 'x\n{{ contact_name', 'Line 2: output "{{ contact_name" not closed'],
    ['an unknown filter', '{{ contact_name | shout }}', 'Line 1: undefined filter: shout'],
    ['nothing', '{% comment %}x{% endcomment %}', 'Line 1: Nothing is left of it'],
  ])('refuses %s with its line', async (_, body, message) => {
    const { request } = await createScene()
    expect(await problemsOf(await request('PUT', '/welcome', { subject: 'Hi', body }))).toEqual({
      status: 422,
      code: 'unprocessable',
      errors: [{ path: 'body', message }],
    })
  })

  it('names what is wrong in the subject and in the body at once', async () => {
    const { request } = await createScene()
    const { errors } = await problemsOf(
      await request('PUT', '/welcome', { subject: '{{ a }}', body: '{{ b }}' }),
    )
    expect(errors?.map(({ path }) => path)).toEqual(['subject', 'body'])
  })

  it.each([
    ['loops', '{% for i in (1..1000000000) %}x{% endfor %}'],
    ['table rows', '{% tablerow i in (1..1000000000) %}x{% endtablerow %}'],
    ['counting', '{% increment n %}'],
    ['cycles', '{% cycle "a", "b" %}'],
    ['captures', '{% capture a %}x{% endcapture %}'],
    ['a nested language', '{% liquid\nfor i in (1..10)\necho i\nendfor %}'],
    ['files', '{% include "/etc/passwd" %}'],
    ['partials', '{% render "x" %}'],
    ['layouts', '{% layout "x" %}{% block a %}{% endblock %}'],
    ['ranges', '{% if (1..1000000000) contains 5 %}x{% endif %}y'],
    ['products', '{{ 10 | times: 1000000 }}'],
    ['joins', '{{ "a,b" | split: "," | join: "x" }}'],
    ['replacements', '{{ "aaaa" | replace: "a", "aaaaaaaaaaaaaaaa" }}'],
    ['sums of text', '{% assign a = "xxxxxxxxxx" %}{% assign a = a | append: a | append: a %}{{ a }}'],
    ['dates with a wide year', '{{ "now" | date: "%100000000Y" }}'],
  ])('has no %s', async (_, body) => {
    const { request } = await createScene()
    const started = performance.now()
    const { status, errors } = await problemsOf(await request('PUT', '/welcome', { subject: 'Hi', body }))
    expect({ status, paths: [...new Set(errors?.map(({ path }) => path))] }).toEqual({
      status: 422,
      paths: ['body'],
    })
    expect(performance.now() - started).toBeLessThan(5000)
  })

  it.each([
    { subject: 'a\nb', body: 'x' },
    { subject: 'x'.repeat(201), body: 'x' },
    { subject: '', body: 'x' },
    { subject: 'x', body: '' },
    { subject: 'x', body: 'x'.repeat(10_001) },
    { subject: 'x', body: 'a\u0000b' },
    { subject: 'x' },
    { subject: 'x', body: 'x', html: '<b>' },
  ])('answers 400 to %j', async (body) => {
    const { request } = await createScene()
    expect((await problemsOf(await request('PUT', '/welcome', body))).status).toBe(400)
  })
})

describe('DELETE /mail-templates/{kind}', () => {
  it('goes back to our own words, once on the record, and again is no error', async () => {
    const { world, org, request } = await createScene()
    await request('PUT', '/welcome', mine)
    expect((await request('DELETE', '/welcome')).status).toBe(204)
    expect((await request('DELETE', '/welcome')).status).toBe(204)
    expect((await read<Template>(await request('GET', '/welcome'))).body.built_in).toBe(true)
    const [audit] = await world.sql(
      q
        .select()
        .from(audit_logs)
        .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.action, 'mail_template.removed'))),
    )
    expect(audit).toHaveLength(1)
  })
})

describe('POST /mail-templates/{kind}/preview', () => {
  it('shows what would leave, with the organization’s own name and an inquiry that was made up', async () => {
    const { world, org, request } = await createScene({ postal_address: '1 High Street' })
    expect(await read(await request('POST', '/welcome/preview', mine))).toEqual({
      status: 200,
      body: { subject: 'Thank you, Ada Lovelace', text: 'Hello from Shop.' },
    })
    const builtIn = await read<{ text: string }>(await request('POST', '/welcome/preview', {}))
    expect(builtIn.body.text).toMatch(/Shop\n1 High Street$/)
    await request('PUT', '/welcome', mine)
    expect((await read(await request('POST', '/welcome/preview', { subject: 'Other' }))).body).toEqual({
      subject: 'Other',
      text: 'Hello from Shop.',
    })
    const [rows] = await world.sql(q.select().from(mail_templates).where(eq(mail_templates.org_id, org.id)))
    expect(rows.map(({ subject }) => subject)).toEqual([mine.subject])
  })

  it('makes one short line of the subject', async () => {
    const { request } = await createScene()
    const { body } = await read<{ subject: string }>(
      await request('POST', '/admin_alert/preview', {
        subject: '{{ lead_text }}'.repeat(13),
        body: 'x',
      }),
    )
    expect([body.subject.length, body.subject.includes('\n')]).toEqual([200, false])
  })

  it('refuses what would be too long to send', async () => {
    const { request } = await createScene({ postal_address: 'x'.repeat(500) })
    expect(
      await problemsOf(
        await request('POST', '/welcome/preview', { body: '{{ postal_address }}'.repeat(50) }),
      ),
    ).toEqual({
      status: 422,
      code: 'unprocessable',
      errors: [{ path: 'body', message: 'Line 1: The text has more than 20000 characters' }],
    })
  })

  it('refuses what could not be saved', async () => {
    const { request } = await createScene()
    expect(await problemsOf(await request('POST', '/welcome/preview', { body: '{{ no }}' }))).toEqual({
      status: 422,
      code: 'unprocessable',
      errors: [{ path: 'body', message: 'Line 1: There is no variable no' }],
    })
  })
})

describeSecurity({ method: 'GET', path: '/api/v1/mail-templates' })
describeSecurity({ method: 'GET', path: '/api/v1/mail-templates/welcome' })
describeSecurity({
  method: 'PUT',
  path: '/api/v1/mail-templates/welcome',
  body: mine,
  allowed: ['owner', 'admin'],
})
describeSecurity({ method: 'DELETE', path: '/api/v1/mail-templates/welcome', allowed: ['owner', 'admin'] })
describeSecurity({
  method: 'POST',
  path: '/api/v1/mail-templates/welcome/preview',
  body: mine,
  allowed: ['owner', 'admin'],
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { templateKinds } from '#kernel/vocabulary'
import { checkTemplate, harmless, renderTemplate } from './render-template'
import { builtInTemplates, operatorNotice, sampleValues, templateVariables, valuesFor } from './templates'

const words = {
  organization_name: 'Shop',
  postal_address: null,
  contact_name: null,
  contact_company: null,
  contact_email: null,
  contact_phone: null,
  lead_source: 'form',
  lead_text: null,
  lead_received_at: new Date('2026-11-20T09:30:00.000Z'),
  lead_url: 'https://inlet.test/leads/1',
}

describe('our own words', () => {
  it.each(templateKinds)('of a %s work with everything and with nothing', async (kind) => {
    expect(await checkTemplate(builtInTemplates[kind], sampleValues(kind))).toMatchObject({ ok: true })
    const bare = await renderTemplate(builtInTemplates[kind], valuesFor(kind, words))
    expect(bare).toMatchObject({ ok: true })
    expect(JSON.stringify(bare)).not.toMatch(/null|undefined|\{\{|%\}/)
  })

  it('tell of one that died and of many', () => {
    const dead = { organization: 'Shop', code: '23514', url: 'https://inlet.test/admin/queue/items' }
    expect(operatorNotice({ ...dead, count: '1' }).subject).toBe(
      'Inlet: 1 inquiry of Shop could not be stored',
    )
    expect(operatorNotice({ ...dead, count: '2' }).subject).toBe(
      'Inlet: 2 inquiries of Shop could not be stored',
    )
  })
})

describe('a value from outside', () => {
  it.each([
    ['http://evil.com/x', 'http: / /evil. com/x'],
    ['www.evil.com', 'www. evil. com'],
    ['ev\u200bil.\u200bcom', 'evil. com'],
    ['evil\u3002com', 'evil\u3002 com'],
    ['a@evil.com', 'a at evil. com'],
    ['mailto:a', 'mailto: a'],
    ['//evil', '/ /evil'],
    ['x\r\nBcc: y\u2028z', 'x Bcc: y z'],
    ['\u202egnp.exe', 'gnp. exe'],
    ['  ', null],
    [null, null],
    ['10.5 seats at 10:30, please', '10.5 seats at 10:30, please'],
    ['Dr. J. R. Smith', 'Dr. J. R. Smith'],
    ['{{ secrets }}', '{{ secrets }}'],
  ])('%j reads %j', (given, shown) => {
    expect(harmless(given, 100)).toBe(shown)
  })

  it('is one short line without links, whatever was typed', () => {
    const typed = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({
        unit: fc.constantFrom('a', '.', ':', '/', '@', '\n', '\u200d', ' ', '\u{1f600}', '\u3002'),
      }),
    )
    fc.assert(
      fc.property(typed, (text) => {
        const shown = harmless(text, 20) ?? ''
        expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|\/\/|@|[.\u3002]\p{L}|\p{L}:\S/u)
        expect(shown.isWellFormed()).toBe(true)
        // What was taken apart is longer than what was clipped, by a little.
        expect(shown.length).toBeLessThanOrEqual(100)
      }),
      { numRuns: 500 },
    )
  })
})

describe('a template', () => {
  it('is never made of values: what looks like one stays what it is', async () => {
    const values = {
      ...sampleValues('welcome'),
      contact_name: '{% if true %}{{ organization_name }}{% endif %}',
    }
    expect(await renderTemplate({ subject: 'x', body: '{{ contact_name }}' }, values)).toEqual({
      ok: true,
      value: { subject: 'x', text: values.contact_name },
    })
  })

  it('reaches nothing but its variables, by whatever name', async () => {
    for (const name of [
      '__proto__',
      'constructor',
      'toString',
      'contact_name.length',
      'contact_name[0]',
      '[contact_name]',
    ])
      expect([
        name,
        (await checkTemplate({ subject: 'x', body: `{{ ${name} }}` }, sampleValues('welcome'))).ok,
      ]).toEqual([name, false])
  })

  it('can be assembled from any pieces without harm: it is refused, or short, and soon', async () => {
    const pieces = [
      '{{ contact_name }}',
      '{{ contact_name | upcase | truncate: 999999 }}',
      '{% assign a = contact_name %}',
      '{{ a }}',
      '{% if contact_name %}',
      '{% unless a %}',
      '{% endif %}',
      '{% endunless %}',
      '{% for i in (1..999999999) %}',
      '{% endfor %}',
      '{% capture a %}',
      '{% endcapture %}',
      '{{ a | append: a }}',
      '{% raw %}',
      '{{',
      '%}',
      'text',
    ]
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...pieces), { maxLength: 60 }), async (parts) => {
        const started = performance.now()
        const outcome = await checkTemplate({ subject: 'x', body: parts.join('') }, sampleValues('welcome'))
        if (outcome.ok) expect(outcome.value.text.length).toBeLessThanOrEqual(20_000)
        else expect(outcome.problems.length).toBeGreaterThan(0)
        expect(performance.now() - started).toBeLessThan(2000)
      }),
      { numRuns: 100 },
    )
  }, 30_000)
})

it('marks as from outside all that somebody else has written, and offers nothing of the message to an acknowledgement', () => {
  const outside = templateVariables.admin_alert.flatMap(({ name, from_outside }) =>
    from_outside ? [name] : [],
  )
  expect(outside).toEqual([
    'contact_name',
    'contact_company',
    'contact_email',
    'contact_phone',
    'lead_source',
    'lead_text',
  ])
  expect(templateVariables.welcome.map(({ name }) => name)).not.toContain('lead_text')
})

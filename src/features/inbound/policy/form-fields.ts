// A form's names and values, as browsers and form builders post them, into the shape of the JSON that the route takes. Pure.

/** Names that are the form's own and not the visitor's. */
export const HONEYPOT = '_comments'
export const RENDER_TOKEN = '_t'
export const TURNSTILE = 'cf-turnstile-response'

const KNOWN = new Set([
  'email',
  'name',
  'phone',
  'company',
  'service',
  'message',
  'page_url',
  HONEYPOT,
  RENDER_TOKEN,
  TURNSTILE,
])
const LIMITS = { custom: 50, name: 60, value: 2000, line: 200, url: 2000, message: 20_000, few: 20, utm: 500 }

/** What pages post beside their fields: switches of form services, answers of other services' challenges. */
const PLUMBING = /^(?:_|utf8$|authenticity_token$|csrf|g-recaptcha-|h-captcha-|form[-_]?(?:id|name)$)/i

/** What a ticked box may say for yes; anything else was not agreed to, and is kept among the custom fields as it was said. */
const YES = new Set(['1', 'y', 'yes', 'true', 'on', 'checked', 'ja', 'oui', 'si', 'sí'])
const NO = new Set(['', '0', 'n', 'no', 'false', 'off', 'nein', 'non'])

/** A chosen file is named and not kept. */
export type PostedValue = string | { file: string; size: number }

/**
 * No name of a form loses a lead: unknown ones become custom fields, and what is too long or too much for those is put below
 * the message. Of a known name that comes twice the first value counts, of another one all.
 */
export function toFormFields(posted: Iterable<readonly [string, PostedValue]>): Record<string, unknown> {
  const known = new Map<string, string>()
  const custom = new Map<string, string>()
  const utm = new Map<string, string>()
  const consent = new Map<string, boolean>()
  for (const [given, value] of posted) {
    // What an empty file input posts.
    if (typeof value === 'object' && value.size === 0 && value.file === '') continue
    const text = typeof value === 'string' ? value : `${value.file} (not kept)`
    const { group, name } = splitName(given)
    if (group === null && KNOWN.has(name) && !(name === 'service' && text.length > LIMITS.line)) {
      if (typeof value === 'string' && !known.get(name))
        known.set(name, name === 'page_url' ? cut(text, LIMITS.url) : text)
    } else if (group === 'utm') {
      if (text !== '') utm.set(name, utm.get(name) ?? text)
    } else if (group === 'consent') {
      const word = text.trim().toLowerCase()
      // A hidden "0" before its box is how frameworks post an empty one.
      consent.set(name, YES.has(word) || (consent.get(name) ?? false))
      if (!YES.has(word) && !NO.has(word)) append(custom, `consent.${name}`, text)
    } else if (text.trim() !== '' && name !== '' && !(group === null && PLUMBING.test(name))) {
      append(custom, name, text)
    }
  }
  const { kept, rest } = fit(custom)
  const message = [known.get('message') ?? '', ...rest].filter((part) => part !== '').join('\n\n')
  const fields = new Map<string, unknown>(
    [...known].filter(([name, value]) => value !== '' || name === 'email'),
  )
  // What the visitor wrote is judged by its length; what we put below it is cut.
  if (rest.length > 0)
    fields.set(
      'message',
      message.slice(0, Math.max(LIMITS.message, known.get('message')?.length ?? 0)).toWellFormed(),
    )
  if (kept.length > 0) fields.set('custom', Object.fromEntries(kept))
  if (utm.size > 0)
    fields.set(
      'utm',
      Object.fromEntries(
        [...utm]
          .slice(0, LIMITS.few)
          .map(([name, value]) => [cut(name, LIMITS.name), cut(value, LIMITS.utm)]),
      ),
    )
  if (consent.size > 0)
    fields.set(
      'consent',
      Object.fromEntries(
        [...consent].slice(0, LIMITS.few).map(([name, agreed]) => [cut(name, LIMITS.name), agreed]),
      ),
    )
  return Object.fromEntries(fields)
}

/** `utm` of a page's address, for pages that post nothing but it. */
export function utmOf(page_url: string | undefined): Record<string, string> | undefined {
  if (page_url === undefined || !URL.canParse(page_url)) return undefined
  const found = [...new URL(page_url).searchParams].flatMap(([name, value]) =>
    name.startsWith('utm_') && name.length > 4 && value !== ''
      ? [[cut(name.slice(4), LIMITS.name), cut(value, LIMITS.utm)] as const]
      : [],
  )
  return found.length === 0 ? undefined : Object.fromEntries(found.slice(0, LIMITS.few))
}

/** `custom[budget]`, `utm[source]`, `utm_source`, `consent[mail]`, `colours[]`. */
function splitName(given: string): { group: 'custom' | 'utm' | 'consent' | null; name: string } {
  const nested = /^(custom|utm|consent)\[([^\]]+)\](?:\[\])?$/.exec(given)
  if (nested) return { group: nested[1] as 'custom' | 'utm' | 'consent', name: nested[2] ?? '' }
  if (/^utm_./.test(given)) return { group: 'utm', name: given.slice(4) }
  if (given === 'consent') return { group: 'consent', name: 'consent' }
  return { group: null, name: given.replace(/\[\]$/, '') }
}

function append(fields: Map<string, string>, name: string, text: string): void {
  const before = fields.get(name)
  fields.set(name, before === undefined ? text : `${before}, ${text}`)
}

function fit(custom: Map<string, string>): { kept: [string, string][]; rest: string[] } {
  const kept: [string, string][] = []
  const rest: string[] = []
  for (const [name, value] of custom) {
    if (kept.length < LIMITS.custom && name.length <= LIMITS.name && value.length <= LIMITS.value)
      kept.push([name, value])
    else rest.push(`${cut(name, 200)}: ${value}`)
  }
  return { kept, rest }
}

function cut(text: string, max: number): string {
  return text.slice(0, max).toWellFormed()
}

/**
 * A page in an old encoding posts its bytes without saying so: what is not UTF-8 is read as windows-1252, so that no name loses
 * its letters.
 */
export function parseUrlencoded(body: string): [string, string][] {
  const pairs = [...new URLSearchParams(body)]
  const broken = pairs.some(([name, value]) => `${name}${value}`.includes('\ufffd'))
  if (!broken || /%EF%BF%BD/i.test(body)) return pairs
  return body.split('&').flatMap((pair) => {
    const [name = '', ...value] = pair.split('=')
    return pair === '' ? [] : [[decodeOld(name), decodeOld(value.join('='))] as [string, string]]
  })
}

function decodeOld(text: string): string {
  const bytes: number[] = []
  for (const [part] of text.replaceAll('+', ' ').matchAll(/%[0-9a-f]{2}|[^]/gi))
    bytes.push(part.length === 3 ? Number.parseInt(part.slice(1), 16) : part.charCodeAt(0) & 0xff)
  return new TextDecoder('windows-1252').decode(Uint8Array.from(bytes))
}

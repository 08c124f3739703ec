// A linear reader of HTML tags: just what is needed to follow which text a mail shows. It never backtracks, whatever is left open.

export interface Tag {
  readonly name: string
  readonly closing: boolean
  readonly attributes: Map<string, string>
  /** Index after the '>'. */
  readonly end: number
}

const MAX_ATTRIBUTES = 60

function isSpace(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13)
}

function skipSpace(html: string, at: number): number {
  let i = at
  while (i < html.length && isSpace(html.charCodeAt(i))) i++
  return i
}

/** Reads the tag that begins at `at` (a '<'); null when it is only a '<' in the text. */
export function readTag(html: string, at: number): Tag | null {
  let i = at + 1
  const closing = html.charAt(i) === '/'
  if (closing) i++
  const nameStart = i
  while (i < html.length && /[a-z0-9:_-]/i.test(html.charAt(i))) i++
  if (i === nameStart || !/[a-z]/i.test(html.charAt(nameStart))) return null
  const name = html.slice(nameStart, i).toLowerCase().slice(0, 40)
  const attributes = new Map<string, string>()
  while (i < html.length) {
    const char = html.charAt(i)
    if (char === '>') return { name, closing, attributes, end: i + 1 }
    if (char === '/' || isSpace(html.charCodeAt(i))) {
      i++
      continue
    }
    i = readAttribute(html, i, attributes)
  }
  return { name, closing, attributes, end: html.length }
}

function readAttribute(html: string, at: number, attributes: Map<string, string>): number {
  let i = at
  while (i < html.length && !isSpace(html.charCodeAt(i)) && !'=>/'.includes(html.charAt(i))) i++
  // A lone '=' is part of the name (HTML standard, "before attribute name").
  if (i === at) i++
  const key = html.slice(at, i).toLowerCase()
  let value = ''
  const equals = skipSpace(html, i)
  if (html.charAt(equals) === '=') {
    i = skipSpace(html, equals + 1)
    const quote = html.charAt(i)
    if (quote === '"' || quote === "'") {
      const close = html.indexOf(quote, i + 1)
      const end = close < 0 ? html.length : close
      value = html.slice(i + 1, end)
      i = end + 1
    } else {
      const start = i
      while (i < html.length && !isSpace(html.charCodeAt(i)) && html.charAt(i) !== '>') i++
      value = html.slice(start, i)
    }
  }
  // The first of two equal attributes counts (HTML standard).
  if (attributes.size < MAX_ATTRIBUTES && !attributes.has(key)) attributes.set(key, value)
  return i
}

const ENTITIES: Readonly<Record<string, string>> = {
  colon: ':',
  semi: ';',
  amp: '&',
  quot: '"',
  apos: "'",
  num: '#',
  lpar: '(',
  rpar: ')',
  comma: ',',
  period: '.',
  hyphen: '-',
  tab: ' ',
  newline: ' ',
  nbsp: ' ',
}

/** Undoes character references in an attribute: "display&#58;none" hides as well as "display:none". */
export function decodeAttribute(value: string): string {
  if (!value.includes('&')) return value
  return value
    .slice(0, 4000)
    .replace(/&#x([0-9a-f]{1,6});?/gi, (_, hex: string) => fromCode(Number.parseInt(hex, 16)))
    .replace(/&#(\d{1,7});?/g, (_, digits: string) => fromCode(Number(digits)))
    .replace(/&([a-z]{2,8});/gi, (whole, name: string) => ENTITIES[name.toLowerCase()] ?? whole)
}

function fromCode(code: number): string {
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : ''
}

/** Index after a comment or declaration that begins at `at`; browsers end a comment also at "<!-->" and "<!--->". */
export function skipMarkup(html: string, at: number): number {
  if (html.startsWith('<!--', at)) {
    if (html.startsWith('>', at + 4)) return at + 5
    if (html.startsWith('->', at + 4)) return at + 6
    const end = html.indexOf('-->', at + 4)
    return end < 0 ? html.length : end + 3
  }
  const end = html.indexOf('>', at + 2)
  return end < 0 ? html.length : end + 1
}

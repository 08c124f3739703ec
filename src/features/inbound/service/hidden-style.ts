// Which CSS makes text invisible in a mail. Senders of injections use every spelling of it; newsletters use the same tricks for their
// preview line, so hidden text is set apart, not treated as proof of anything.

export interface TextStyle {
  readonly hidden: boolean
  /** RGB, or null when it cannot be known (a picture, a gradient, a name we do not list). */
  readonly color: Rgb | null
  readonly background: Rgb | null
}

type Rgb = readonly [red: number, green: number, blue: number]

export const PLAIN_STYLE: TextStyle = { hidden: false, color: [0, 0, 0], background: [255, 255, 255] }

const NAMED: Readonly<Record<string, Rgb>> = {
  white: [255, 255, 255],
  snow: [255, 250, 250],
  ivory: [255, 255, 240],
  ghostwhite: [248, 248, 255],
  whitesmoke: [245, 245, 245],
  floralwhite: [255, 250, 240],
  black: [0, 0, 0],
  gray: [128, 128, 128],
  grey: [128, 128, 128],
  lightgray: [211, 211, 211],
  lightgrey: [211, 211, 211],
  silver: [192, 192, 192],
  red: [255, 0, 0],
  green: [0, 128, 0],
  blue: [0, 0, 255],
  navy: [0, 0, 128],
  yellow: [255, 255, 0],
  orange: [255, 165, 0],
}

/** Declarations of a style attribute or rule, names and values in lower case. CSS comments and escapes are undone first. */
export function readDeclarations(css: string): Map<string, string> {
  const plain = css
    .slice(0, 4000)
    .replace(/\/\*[^*]{0,400}\*\//g, '')
    .replace(/\\([0-9a-f]{1,6})\s?/gi, (_, hex: string) => toCharacter(Number.parseInt(hex, 16)))
    .replace(/\\/g, '')
    .toLowerCase()
  const found = new Map<string, string>()
  for (const part of plain.split(';')) {
    const colon = part.indexOf(':')
    if (colon < 0) continue
    const name = part.slice(0, colon).trim()
    if (name !== '')
      found.set(
        name,
        part
          .slice(colon + 1)
          .replace(/!\s*important/, '')
          .trim(),
      )
  }
  return found
}

function toCharacter(code: number): string {
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : ''
}

/** Pixels in a unit, roughly: only the size that nobody can read matters. */
const PIXELS = new Map([
  ['em', 16],
  ['rem', 16],
  ['ex', 16],
  ['ch', 16],
  ['%', 0.16],
  ['pt', 1.33],
  ['in', 96],
  ['cm', 38],
  ['mm', 3.8],
  ['vw', 8],
  ['vh', 8],
])

/** A length in about pixels, or null when it is no length. */
function readLength(value: string | undefined): number | null {
  const match = /^([+-]?(?:\d{1,7}(?:\.\d{0,9})?|\.\d{1,9}))\s*([a-z%]*)$/.exec(value ?? '')
  if (!match) return null
  const number = Number(match[1])
  return number * (PIXELS.get(match[2] ?? '') ?? 1)
}

function readColor(value: string | undefined): Rgb | null | 'transparent' {
  const text = (value ?? '').trim().toLowerCase()
  if (text === 'transparent') return 'transparent'
  const hex = /^#?([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})$/.exec(text)?.[1]
  if (hex !== undefined && (text.startsWith('#') || hex.length === 6)) {
    const full = hex.length <= 4 ? hex.replace(/./g, '$&$&') : hex
    if (full.length === 8 && full.endsWith('00')) return 'transparent'
    const part = (at: number) => Number.parseInt(full.slice(at, at + 2), 16)
    return [part(0), part(2), part(4)]
  }
  const parts = /^rgba?\(([^()]{1,80})\)$/.exec(text)?.[1]?.split(/[\s,/]+/)
  if (parts && parts.length >= 3) {
    const [red, green, blue, alpha] = parts.map((part) =>
      part.endsWith('%') ? Number(part.slice(0, -1)) * 2.55 : Number(part),
    )
    if (alpha !== undefined && alpha <= 0.05) return 'transparent'
    const rgb = [red ?? 0, green ?? 0, blue ?? 0] as const
    return rgb.some(Number.isNaN) ? null : rgb
  }
  const hsl = /^hsla?\([^()]*?,?\s*(\d{1,3}(?:\.\d+)?)%\s*(?:[,/][^()]*)?\)$/.exec(text)?.[1]
  if (hsl !== undefined && Number(hsl) >= 99) return [255, 255, 255]
  return NAMED[text] ?? null
}

/** Whether two colours cannot be told apart by eye. */
function isSameColor(a: Rgb, b: Rgb): boolean {
  return Math.abs(a[0] - b[0]) + Math.abs(a[1] - b[1]) + Math.abs(a[2] - b[2]) <= 24
}

/** Text that has the colour of what is behind it. */
export function isInvisible(style: TextStyle): boolean {
  return (
    style.hidden ||
    (style.color !== null && style.background !== null && isSameColor(style.color, style.background))
  )
}

function hidesBox(css: Map<string, string>): boolean {
  const clipped = /hidden|clip/.test(css.get('overflow') ?? css.get('overflow-y') ?? '')
  for (const side of ['max-height', 'height', 'max-width', 'width']) {
    const length = readLength(css.get(side))
    if (clipped && length !== null && length <= 1) return true
  }
  if (/rect\(\s*(?:0|1)(?:px)?[\s,]/.test(css.get('clip') ?? '')) return true
  if (/inset\(\s*(?:50|100)%|circle\(\s*0/.test(css.get('clip-path') ?? '')) return true
  if (
    /scale[xy]?\(\s*0(?:\.0*)?\s*[,)]|translate[xy]?\([^)]{0,20}-\s*\d{4,}/.test(css.get('transform') ?? '')
  )
    return true
  return false
}

function isOffScreen(css: Map<string, string>): boolean {
  const far = (name: string): boolean => (readLength(css.get(name)) ?? 0) <= -300
  if (far('text-indent') || far('margin-left') || far('margin-top')) return true
  if (!/absolute|fixed|relative/.test(css.get('position') ?? '')) return false
  return (
    ['left', 'top', 'right', 'bottom'].some(far) ||
    ['left', 'top'].some((name) => (readLength(css.get(name)) ?? 0) >= 5000)
  )
}

function hidesText(css: Map<string, string>): boolean {
  if (css.get('display')?.startsWith('none')) return true
  if (/^(?:hidden|collapse)/.test(css.get('visibility') ?? '')) return true
  // Word's own property for hidden text; Outlook obeys it.
  if (css.get('mso-hide')?.startsWith('all')) return true
  const opacity = readLength(css.get('opacity'))
  if (opacity !== null && opacity <= ((css.get('opacity') ?? '').endsWith('%') ? 0.8 : 0.05)) return true
  if (/opacity\s*[(=]\s*0(?:\.0\d*)?\s*%?\s*\)/.test(css.get('filter') ?? '')) return true
  const size = readLength(css.get('font-size'))
  // One or two pixels are as unreadable as none.
  if (size !== null && size <= 2) return true
  const short = /(?:^|\s)([\d.]{1,8}(?:px|pt|em|rem|%)?)(?:\/[\d.a-z%]{1,8})?\s+\S/.exec(
    css.get('font') ?? '',
  )?.[1]
  const shortSize = short !== undefined && !/^[1-9]00$/.test(short) ? readLength(short) : null
  return shortSize !== null && shortSize <= 2
}

/** The style of an element inside another one, from its own declarations. */
export function inheritStyle(parent: TextStyle, css: Map<string, string>): TextStyle {
  if (css.size === 0) return parent
  let { hidden, color, background } = parent
  hidden ||= hidesText(css) || hidesBox(css) || isOffScreen(css)
  const ownColor = css.get('-webkit-text-fill-color') ?? css.get('color')
  if (ownColor !== undefined && !/^(?:inherit|initial|unset|currentcolor)/.test(ownColor)) {
    const read = readColor(ownColor)
    if (read === 'transparent') hidden = true
    else color = read
  }
  if (css.has('background-image') && css.get('background-image') !== 'none') background = null
  const shorthand = css.get('background-color') ?? css.get('background')
  if (shorthand !== undefined && !/^(?:inherit|initial|unset|none)/.test(shorthand)) {
    const read = /url\(|gradient/.test(shorthand) ? null : readColor(shorthand.split(/\s+(?![^(]*\))/)[0])
    if (read !== 'transparent') background = read
  }
  return { hidden, color, background }
}

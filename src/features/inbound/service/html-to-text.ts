// Text of an HTML body, with what a reader sees kept apart from what was hidden from him. html-to-text alone keeps hidden text
//, and its selectors cannot follow inherited colours or rules of a style sheet: so the page is split first.

import { convert } from 'html-to-text'
import { inheritStyle, isInvisible, PLAIN_STYLE, readDeclarations, type TextStyle } from './hidden-style'
import { decodeAttribute, readTag, skipMarkup, type Tag } from './html-tags'

export interface HtmlText {
  readonly text: string
  readonly hidden_text: string
  readonly truncated: boolean
}

const MAX_HTML = 2_000_000
/** html-to-text walks recursively; real mail stays below 60 levels. */
const MAX_EMITTED_DEPTH = 80
/** Deeper than this nobody reads; what stands there counts as hidden. */
const MAX_DEPTH = 2000
const MAX_RULES = 400
const MAX_HIDDEN = 200_000

const VOID = new Set('area base br col embed hr img input link meta param source track wbr'.split(' '))
/** Elements whose content is no text of the mail. */
const DROPPED = new Set(
  'style script title template noembed iframe noframes object svg math audio video select'.split(' '),
)
const RAW = new Set('style script title noembed iframe noframes'.split(' '))
const EMITTED = new Set(
  'a abbr address article aside b big blockquote body center code dd div dl dt em fieldset figure font footer form h1 h2 h3 h4 h5 h6 header i li main nav ol p pre s section small span strong sub sup table tbody td tfoot th thead tr u ul'.split(
    ' ',
  ),
)
/** An open p ends where one of these begins, an li at the next li (HTML standard, "in body" mode). */
const ENDS_P = new Set(
  'address article aside blockquote center div dl fieldset footer form h1 h2 h3 h4 h5 h6 header hr main nav ol p pre section table ul'.split(
    ' ',
  ),
)
const SIBLINGS: Readonly<Record<string, readonly string[]>> = {
  li: ['li'],
  td: ['td', 'th'],
  th: ['td', 'th'],
  tr: ['tr', 'td', 'th'],
  dt: ['dt', 'dd'],
  dd: ['dt', 'dd'],
  option: ['option'],
}

interface Open {
  readonly name: string
  readonly style: TextStyle
  readonly emitted: boolean
  readonly dropped: boolean
}

class Splitter {
  readonly visible: string[] = []
  readonly hidden: string[] = []
  private hiddenSize = 0
  private emittedDepth = 0
  private readonly stack: Open[] = []
  private readonly openNames = new Map<string, number>()
  private readonly rules = new Map<string, Map<string, string>>()

  private top(): Open | undefined {
    return this.stack.at(-1)
  }

  addText(text: string): void {
    if (text === '') return
    const top = this.top()
    if (top?.dropped === true) return
    if (top !== undefined && (this.stack.length >= MAX_DEPTH || isInvisible(top.style))) {
      if (this.hiddenSize < MAX_HIDDEN) this.hidden.push(text)
      this.hiddenSize += text.length
      // Words on both sides of hidden text must not become one word.
      return
    }
    this.visible.push(text)
  }

  open(tag: Tag): void {
    if (ENDS_P.has(tag.name) && this.top()?.name === 'p') this.pop()
    while (SIBLINGS[tag.name]?.includes(this.top()?.name ?? '') === true) this.pop()
    const parent = this.top()
    if (VOID.has(tag.name)) {
      if ((tag.name === 'br' || tag.name === 'hr') && parent?.dropped !== true) {
        const target = parent && isInvisible(parent.style) ? this.hidden : this.visible
        target.push(`<${tag.name}>`)
      }
      return
    }
    if (this.stack.length >= MAX_DEPTH) return
    const style = this.readStyle(tag, parent?.style ?? PLAIN_STYLE)
    const emitted = EMITTED.has(tag.name) && !style.hidden && this.emittedDepth < MAX_EMITTED_DEPTH
    if (emitted) {
      this.visible.push(`<${tag.name}>`)
      this.emittedDepth++
    } else if (style.hidden) this.hidden.push(' ')
    this.openNames.set(tag.name, (this.openNames.get(tag.name) ?? 0) + 1)
    this.stack.push({
      name: tag.name,
      style,
      emitted,
      dropped: parent?.dropped === true || DROPPED.has(tag.name),
    })
  }

  close(name: string): void {
    // Without an open element of that name the tag means nothing; the count keeps a page of stray end tags linear.
    if ((this.openNames.get(name) ?? 0) === 0) return
    while (this.pop() !== name);
  }

  private pop(): string | undefined {
    const last = this.stack.pop()
    if (last === undefined) return undefined
    this.openNames.set(last.name, (this.openNames.get(last.name) ?? 1) - 1)
    if (last.emitted) {
      this.visible.push(`</${last.name}>`)
      this.emittedDepth--
    }
    return last.name
  }

  finish(): void {
    while (this.pop() !== undefined);
  }

  private readStyle(tag: Tag, parent: TextStyle): TextStyle {
    let style = parent
    const attributes = tag.attributes
    if (this.rules.size > 0) {
      const classes = (attributes.get('class') ?? '').slice(0, 500).toLowerCase().split(/\s+/)
      const names = [
        tag.name,
        ...classes.map((name) => `.${name}`),
        `#${(attributes.get('id') ?? '').toLowerCase()}`,
      ]
      for (const name of names.slice(0, 20)) {
        const rule = this.rules.get(name)
        if (rule) style = inheritStyle(style, rule)
      }
    }
    if (attributes.size === 0) return style
    const legacy = new Map<string, string>()
    const background = attributes.get('bgcolor')
    if (background !== undefined) legacy.set('background-color', background)
    if (attributes.has('background')) legacy.set('background-image', 'url()')
    const color = tag.name === 'font' ? attributes.get('color') : undefined
    if (color !== undefined) legacy.set('color', color)
    style = inheritStyle(style, legacy)
    const inline = attributes.get('style')
    if (inline !== undefined) style = inheritStyle(style, readDeclarations(decodeAttribute(inline)))
    return attributes.has('hidden') ? { ...style, hidden: true } : style
  }

  /** Plain rules of a style sheet (`.x`, `#x`, `p`, `p.x`). Those inside @media are left out: they are for other screens. */
  addRules(css: string): void {
    const plain = css.slice(0, 200_000).replace(/<!--|-->/g, ' ')
    let at = 0
    while (at < plain.length && this.rules.size < MAX_RULES) {
      const brace = plain.indexOf('{', at)
      if (brace < 0) return
      const selector = plain
        .slice(Math.max(at, brace - 500), brace)
        .replace(/\/\*[^*]{0,400}\*\//g, '')
        .trim()
        .toLowerCase()
      let end = brace + 1
      if (selector.startsWith('@')) {
        for (let depth = 1; end < plain.length && depth > 0; end++) {
          const char = plain.charAt(end)
          if (char === '{') depth++
          if (char === '}') depth--
        }
      } else {
        const close = plain.indexOf('}', brace)
        end = close < 0 ? plain.length : close + 1
        this.addRule(selector, readDeclarations(plain.slice(brace + 1, end - 1)))
      }
      at = end
    }
  }

  private addRule(selectors: string, declarations: Map<string, string>): void {
    for (const selector of selectors.split(',').slice(0, 30)) {
      const name =
        /^\s*(?:[a-z][a-z0-9]*)?([.#][\w-]{1,60})\s*$/.exec(selector)?.[1] ??
        /^\s*([a-z][a-z0-9]*)\s*$/.exec(selector)?.[1]
      if (name === undefined || name === 'body' || name === 'html') continue
      this.rules.set(name, new Map([...(this.rules.get(name) ?? []), ...declarations]))
    }
  }
}

/** Splits a page into the HTML that is seen, stripped of attributes and balanced, and the HTML text that is not. */
function splitHidden(html: string): { visible: string; hidden: string } {
  const splitter = new Splitter()
  let at = 0
  while (at < html.length) {
    const open = html.indexOf('<', at)
    splitter.addText(html.slice(at, open < 0 ? html.length : open))
    if (open < 0) break
    const next = html.charAt(open + 1)
    if (next === '!' || next === '?') {
      at = skipMarkup(html, open)
      continue
    }
    const tag = readTag(html, open)
    if (tag === null) {
      splitter.addText('&lt;')
      at = open + 1
      continue
    }
    at = tag.end
    if (tag.closing) splitter.close(tag.name)
    else if (RAW.has(tag.name)) {
      const close = new RegExp(`</${tag.name}[\\s>/]`, 'gi')
      close.lastIndex = at
      const end = close.exec(html)?.index ?? html.length
      if (tag.name === 'style') splitter.addRules(html.slice(at, end))
      at = end
    } else splitter.open(tag)
  }
  splitter.finish()
  return { visible: splitter.visible.join(''), hidden: splitter.hidden.join('') }
}

const heading = (selector: string) => ({ selector, options: { uppercase: false } })

function render(html: string): string {
  const text = convert(html, {
    wordwrap: false,
    selectors: [
      { selector: 'a', options: { ignoreHref: true } },
      { selector: 'img', format: 'skip' },
      ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map(heading),
      { selector: 'table', format: 'block' },
      { selector: 'tr', format: 'block' },
      // Cells of a form's mail stand side by side; without a space their words would run together.
      { selector: 'td', format: 'inlineSurround', options: { suffix: ' ' } },
      { selector: 'th', format: 'inlineSurround', options: { suffix: ' ' } },
      { selector: 'hr', format: 'horizontalLine', options: { length: 40 } },
    ],
  })
  return text
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .replace(/\n{4,}/g, '\n\n\n')
    .trim()
}

export function htmlToText(html: string): HtmlText {
  const { visible, hidden } = splitHidden(html.slice(0, MAX_HTML))
  return {
    text: render(visible),
    hidden_text: hidden.trim() === '' ? '' : render(hidden).replace(/\s+/g, ' ').trim(),
    truncated: html.length > MAX_HTML,
  }
}

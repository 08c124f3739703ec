// Liquid, for mail that an organization words itself. What can loop, load or grow is not there: every construct that is left
// writes no more than its own length and the values that it names.
import type { Liquid } from 'liquidjs'

export interface Template {
  subject: string
  body: string
}

export interface Rendered {
  subject: string
  text: string
}

export type Values = Readonly<Record<string, string | null>>

interface TemplateProblem {
  path: 'subject' | 'body'
  line: number
  message: string
}

export type Outcome<T> = { ok: true; value: T } | { ok: false; problems: TemplateProblem[] }

export const MAX_SUBJECT = 200
export const MAX_BODY = 10_000
/** Longer than any text of ours; a template that names a long value a thousand times stops here. */
const MAX_TEXT = 20_000

const TAGS: ReadonlySet<string> = new Set(['#', 'assign', 'case', 'comment', 'echo', 'if', 'raw', 'unless'])
const FILTERS: ReadonlySet<string> = new Set([
  'capitalize',
  'default',
  'downcase',
  'lstrip',
  'rstrip',
  'size',
  'strip',
  'strip_newlines',
  'truncate',
  'truncatewords',
  'upcase',
])

let engine: Liquid | undefined

/** Loaded with the first mail: most isolates write none. */
async function loadEngine(): Promise<Liquid> {
  if (engine) return engine
  const { Liquid } = await import('liquidjs')
  const made = new Liquid({
    ownPropertyOnly: true,
    strictVariables: true,
    strictFilters: true,
    parseLimit: 50_000,
    memoryLimit: 100_000,
    relativeReference: false,
    // Instead of a file system.
    templates: {},
  })
  for (const name of Object.keys(made.tags)) if (!TAGS.has(name)) delete made.tags[name]
  for (const name of Object.keys(made.filters)) if (!FILTERS.has(name)) delete made.filters[name]
  engine = made
  return made
}

/** Everything that is wrong with it, also in branches that no value of ours takes. `values` has every variable that there is. */
export async function checkTemplate(template: Template, values: Values): Promise<Outcome<Rendered>> {
  const liquid = await loadEngine()
  const problems = parts(template).flatMap(([path, source]) => {
    try {
      return unknownVariables(liquid, source, values).map((problem) => ({ path, ...problem }))
    } catch (error) {
      return [{ path, ...asProblem(error) }]
    }
  })
  return problems.length > 0 ? { ok: false, problems } : renderTemplate(template, values)
}

export async function renderTemplate(template: Template, values: Values): Promise<Outcome<Rendered>> {
  const liquid = await loadEngine()
  const problems: TemplateProblem[] = []
  const [subject = '', text = ''] = parts(template).map(([path, source]) => {
    try {
      const written = String(liquid.parseAndRenderSync(source, values))
      if (written.length > MAX_TEXT) throw new TypeError(`The text has more than ${MAX_TEXT} characters`)
      if (written.trim() === '') throw new TypeError('Nothing is left of it')
      return written
    } catch (error) {
      problems.push({ path, ...asProblem(error) })
      return ''
    }
  })
  if (problems.length > 0) return { ok: false, problems }
  return { ok: true, value: { subject: clip(asLine(subject), MAX_SUBJECT), text: text.trim() } }
}

function parts({ subject, body }: Template) {
  return [
    ['subject', subject],
    ['body', body],
  ] as const
}

function unknownVariables(liquid: Liquid, source: string, values: Values) {
  const { globals } = liquid.parseAndAnalyzeSync(source, undefined, { partials: false })
  return Object.values(globals)
    .flat()
    .filter(
      ({ segments: [name, ...rest] }) =>
        !(typeof name === 'string' && Object.hasOwn(values, name) && rest.length === 0),
    )
    .map((variable) => ({
      line: variable.location.row,
      message: `There is no variable ${clip(variable.toString(), 100)}`,
    }))
}

function asProblem(error: unknown): { line: number; message: string } {
  if (!(error instanceof Error)) return { line: 1, message: 'It cannot be read' }
  // liquidjs appends the place to every message.
  const place = /, line:(\d+), col:\d+$/.exec(error.message)
  return {
    line: Number(place?.[1] ?? 1),
    message: clip(error.message.slice(0, place?.index).replaceAll(/\s+/g, ' '), 200),
  }
}

/** Text of a stranger as it may stand in a mail of ours: one line, nothing hidden, and nothing that a mail program makes a link of. */
export function harmless(text: string | null, max: number): string | null {
  if (text === null) return null
  const line = clip(asLine(text.slice(0, 20 * max).toWellFormed()), max)
    .replaceAll(/([.。．｡])(?=[\p{L}\p{N}]*\p{L})/gu, '$1 ')
    .replaceAll(/(?<=\p{L}):(?=\S)/gu, ': ')
    .replaceAll(/\/(?=\/)/g, '/ ')
    .replaceAll('@', ' at ')
  return line === '' ? null : line
}

function asLine(text: string): string {
  return text
    .replaceAll(/\p{Cf}/gu, '')
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
}

function clip(text: string, max: number): string {
  // No half of a character at the end.
  return text.length > max ? `${text.slice(0, max - 1).replace(/[\uD800-\uDBFF]$/, '')}…` : text
}

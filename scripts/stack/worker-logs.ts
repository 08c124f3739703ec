// The Worker logs one JSON object a line; on the console it becomes one short line.
import { dim, red, yellow } from './say.ts'

const NAMES = ['message', 'msg', 'event']
const LEFT_OUT = new Set(['request_id', 'level', 'time', 'timestamp', 'at', 'service', ...NAMES])
const MAX_VALUE = 120

/** Undefined for what is not worth a person's attention. */
export function compactLine(level: string, text: string): string | undefined {
  const fields = parse(text)
  const kind = typeof fields?.['level'] === 'string' ? fields['level'] : level
  if (kind === 'debug') return undefined
  const clock = dim(new Date().toISOString().slice(11, 19))
  const paint = kind === 'error' ? red : kind === 'warn' ? yellow : (plain: string) => plain
  if (!fields) return `${clock} ${paint(text)}`
  if (fields['event'] === 'request') return `${clock} ${requestLine(fields)}`
  const name = NAMES.map((key) => fields[key]).find((value) => typeof value === 'string') ?? ''
  const rest = Object.entries(fields)
    .filter(([key, value]) => !LEFT_OUT.has(key) && value !== undefined && value !== null && value !== '')
    .map(([key, value]) => `${key}=${short(value)}`)
  return `${clock} ${paint(String(name))} ${dim(rest.join(' '))}`.trimEnd()
}

function requestLine({ method, route, status, ms, round_trips: trips }: Record<string, unknown>): string {
  const paint = Number(status) >= 500 ? red : Number(status) >= 400 ? yellow : (plain: string) => plain
  return `${short(method)} ${short(route)} ${paint(short(status))} ${dim(`${short(ms)} ms, ${short(trips)} to the database`)}`
}

function short(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}…` : text
}

function parse(text: string): Record<string, unknown> | undefined {
  if (!text.startsWith('{')) return undefined
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return undefined
  }
}

// One JSON line per fact. Fields are ids, names, numbers and codes: no address, token, subject or body ever comes here.
export type LogFields = Record<string, string | number | boolean | null | undefined>

export interface Log {
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, error: unknown, fields?: LogFields): void
  with(fields: LogFields): Log
}

export function createLog(base: LogFields = {}, write: (line: string) => void = writeLine): Log {
  const line = (level: string, event: string, fields: LogFields) =>
    write(JSON.stringify({ level, event, ...base, ...fields }, withoutAddresses))
  return {
    info: (event, fields = {}) => line('info', event, fields),
    warn: (event, fields = {}) => line('warn', event, fields),
    error: (event, error, fields = {}) => line('error', event, { ...describe(error), ...fields }),
    with: (fields) => createLog({ ...base, ...fields }, write),
  }
}

/** A net below all care: whoever logs a text by mistake logs no address with it. */
function withoutAddresses(_: string, value: unknown): unknown {
  return typeof value === 'string' ? value.replaceAll(ADDRESS, '[address]') : value
}

const ADDRESS = /[^\s@<>"'(),:;/\\]{1,64}@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+/gu

// A message may quote what a stranger sent, so only those of our own errors are written. The stack names our code; it begins with
// the message, of which each line could look like a frame.
function describe(error: unknown): LogFields {
  if (!(error instanceof Error)) return { error: typeof error }
  const { name, message, stack = '' } = error
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  const at = stack.indexOf(message)
  const frames = (at < 0 ? stack : stack.slice(at + message.length)).split('\n').flatMap(readFrame)
  const shown = messageOf(name, message)
  return {
    error: errorName(error),
    ...(code === undefined ? {} : { code: /^(?:[A-Z0-9_]{1,60}|[a-z_]{1,60})$/.test(code) ? code : 'odd' }),
    ...(shown === undefined ? {} : { message: shown }),
    stack: frames.slice(0, 6).join(' | '),
  }
}

/** An error's name where it is one; it can be set to anything. */
export function errorName(error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  return /^[A-Za-z]{1,60}$/.test(error.name) ? error.name : 'Error'
}

const ours = new Set(['AppError', 'DatabaseError'])
/** What the engine says of a mistake in our code, without the name that it quotes: a key may have been made of input. */
const MISTAKE =
  /^(Cannot (?:read|set) properties of (?:undefined|null)|[\w$.]{1,100} is not (?:a function|iterable|defined|a constructor))/

function messageOf(name: string, message: string): string | undefined {
  if (ours.has(name)) return message
  return name === 'TypeError' || name === 'ReferenceError' ? MISTAKE.exec(message)?.[1] : undefined
}

function readFrame(line: string): string[] {
  const frame = /^\s+(at .{1,300}:\d+:\d+\)?)$/.exec(line)?.[1]
  return frame === undefined ? [] : [frame]
}

function writeLine(text: string): void {
  // oxlint-disable-next-line no-console -- the one place: Workers logs are console lines
  console.log(text)
}

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
    write(JSON.stringify({ level, event, ...base, ...fields }))
  return {
    info: (event, fields = {}) => line('info', event, fields),
    warn: (event, fields = {}) => line('warn', event, fields),
    error: (event, error, fields = {}) => line('error', event, { ...describe(error), ...fields }),
    with: (fields) => createLog({ ...base, ...fields }, write),
  }
}

// A stack names our code; a message may quote what a stranger sent, so only our own errors' messages are written.
function describe(error: unknown): LogFields {
  if (!(error instanceof Error)) return { error: typeof error }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  const frames = error.stack?.split('\n').filter((frame) => frame.trimStart().startsWith('at ')) ?? []
  const ours = error.name === 'AppError' || error.name === 'TypeError' || error.name === 'ReferenceError'
  return {
    error: error.name,
    code,
    ...(ours ? { message: error.message } : {}),
    stack: frames
      .slice(0, 6)
      .map((frame) => frame.trim())
      .join(' | '),
  }
}

function writeLine(text: string): void {
  // oxlint-disable-next-line no-console -- the one place: Workers logs are console lines
  console.log(text)
}

// Everything a person sees goes through here: the lint forbids `console`, and a shut-down must be able to tell
// its own lines from a child's.

const colours = process.stdout.isTTY && !process.env['NO_COLOR']

const paint = (code: string) => (text: string) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text)

export const bold = paint('1')
export const dim = paint('2')
export const red = paint('31')
export const green = paint('32')
export const yellow = paint('33')

export function say(text = ''): void {
  process.stdout.write(`${text}\n`)
}

export function warn(text: string): void {
  process.stderr.write(`${yellow(text)}\n`)
}

/** An error whose message is the whole story: it is printed as one line, without a stack. */
export class StartError extends Error {
  override readonly name = 'StartError'
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

import { parseArgs } from 'node:util'
import { StartError } from '../stack/say.ts'

const PARTS = ['throughput', 'ingest', 'round-trips', 'mail', 'size', 'start-up'] as const
type Part = (typeof PARTS)[number]

export interface BenchOptions {
  parts: ReadonlySet<Part>
  rounds: number
  seconds: number
  /** Leads in the organization that is listed. */
  leads: number
  mails: number
  jsonFile: string | undefined
  /** Where to put CPU profiles of the hot routes; nothing else is measured then. */
  profileDir: string | undefined
}

export const USAGE = `npm run bench -- [options]
  --quick             2 rounds of 1 s, 60 mails: does it still work, roughly how fast
  --rounds <n>        paired rounds (6)
  --seconds <n>       seconds of each variant in a round (2)
  --mails <n>         mails through the inbound pipeline (300)
  --only <part,…>     of ${PARTS.join(', ')}
  --json <file>       the figures, and every window they come from
  --profile <folder>  instead of measuring: CPU profiles of the hot routes, and what is in them`

export function readOptions(args: string[]): BenchOptions | 'help' {
  const { values } = parse(args)
  if (values.help) return 'help'
  const quick = values.quick ?? false
  return {
    parts: readParts(values.only),
    rounds: readNumber('--rounds', values.rounds, quick ? 2 : 6),
    seconds: readNumber('--seconds', values.seconds, quick ? 1 : 2),
    leads: quick ? 2000 : 20_000,
    mails: readNumber('--mails', values.mails, quick ? 60 : 300),
    jsonFile: values.json,
    profileDir: values.profile,
  }
}

function parse(args: string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  try {
    return parseArgs({
      args,
      options: {
        quick: flag,
        help: flag,
        rounds: text,
        seconds: text,
        mails: text,
        only: text,
        json: text,
        profile: text,
      },
    })
  } catch (error) {
    throw new StartError(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
  }
}

function readParts(only: string | undefined): ReadonlySet<Part> {
  if (only === undefined) return new Set(PARTS)
  const names = only.split(',').map((name) => name.trim())
  const known = PARTS.filter((part) => names.includes(part))
  const unknown = names.filter((name) => !PARTS.some((part) => part === name))
  if (unknown.length > 0) throw new StartError(`--only knows ${PARTS.join(', ')}, not ${unknown.join(', ')}`)
  return new Set(known)
}

function readNumber(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > 1000)
    throw new StartError(`${name} must be a whole number from 1 to 1000, not "${text}"`)
  return value
}

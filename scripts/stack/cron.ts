// Five cron fields in UTC, as Cloudflare reads them: `*`, lists, ranges and steps.

const FIELDS = [
  { lowest: 0, highest: 59, of: (at: Date) => at.getUTCMinutes() },
  { lowest: 0, highest: 23, of: (at: Date) => at.getUTCHours() },
  { lowest: 1, highest: 31, of: (at: Date) => at.getUTCDate() },
  { lowest: 1, highest: 12, of: (at: Date) => at.getUTCMonth() + 1 },
  // Cloudflare counts Sunday as 1.
  { lowest: 1, highest: 7, of: (at: Date) => at.getUTCDay() + 1 },
]

export function isDue(cron: string, at: Date): boolean {
  const parts = cron.trim().split(/\s+/)
  if (parts.length !== FIELDS.length) throw new Error(`not a cron expression: ${cron}`)
  return FIELDS.every(({ lowest, highest, of }, index) =>
    (parts[index] ?? '').split(',').some((part) => matches(part, of(at), lowest, highest)),
  )
}

function matches(part: string, value: number, lowest: number, highest: number): boolean {
  const found = /^(?:\*|(\d+)(?:-(\d+))?)(?:\/(\d+))?$/.exec(part)
  if (!found) throw new Error(`not a cron field: ${part}`)
  const from = found[1] === undefined ? lowest : Number(found[1])
  const to = found[2] !== undefined ? Number(found[2]) : found[1] === undefined || found[3] ? highest : from
  return value >= from && value <= to && (value - from) % Number(found[3] ?? 1) === 0
}

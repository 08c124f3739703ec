// Time comes in as a value; only the platform reads the real clock.

export interface Clock {
  now(): Date
}

/** A handler's clock is the later of the tick it follows from and the real time, so a test moves the whole chain by a tick. */
export function laterOf(as_of: Date | undefined, real: Clock): Clock {
  if (as_of === undefined) return real
  return { now: () => (as_of > real.now() ? as_of : real.now()) }
}

const FIRST_YEAR = Date.parse('0001-01-01T00:00:00Z')
const END = Date.parse('+010000-01-01T00:00:00Z')

/** ISO 8601 and JavaScript have a year 0, Postgres has none; and a year of five digits is written as it does not read it. */
export function isStorable(instant: string): boolean {
  const time = Date.parse(instant)
  return time >= FIRST_YEAR && time < END
}

export function addSeconds(at: Date, seconds: number): Date {
  return new Date(at.getTime() + seconds * 1000)
}

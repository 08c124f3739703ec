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

/** ISO 8601 and JavaScript have a year 0, Postgres has none. */
export function isStorable(instant: string): boolean {
  return Date.parse(instant) >= FIRST_YEAR
}

export function addSeconds(at: Date, seconds: number): Date {
  return new Date(at.getTime() + seconds * 1000)
}

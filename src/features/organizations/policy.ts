// What an organization's settings may be. Pure.

export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const

const TIME = /^(?:[01]\d|2[0-3]):[0-5]\d$|^24:00$/

/** A name of the IANA database; offsets know no summer time and are refused. */
export function isTimezone(name: string): boolean {
  if (/^[+-]/.test(name)) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

/**
 * Why the windows of one day are wrong; `null` when they are right. A window that ends before it begins ends on the next day,
 * so only the last of a day may.
 */
export function refuseWindows(windows: readonly (readonly [string, string])[]): string | null {
  let end = ''
  for (const [from, to] of windows) {
    if (!TIME.test(from) || !TIME.test(to) || from === '24:00') return 'times are HH:MM, from 00:00 to 24:00'
    if (from === to) return 'a window must not be empty'
    if (end === 'next day' || from < end) return 'windows must follow one another without overlap'
    end = to < from ? 'next day' : to
  }
  return null
}

/** A host name as it is compared with the links in a draft. */
export function isHost(text: string): boolean {
  return (
    /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/.test(text) &&
    text.length <= 253
  )
}

/** Scheme, host and port as a browser writes them into `Origin`. */
export function isOrigin(text: string): boolean {
  return /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text
}

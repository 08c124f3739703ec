// Keeps the parser inside a Worker's 128 MB: of each long run of base64 lines only the beginning is parsed. Of an attachment we record
// name, type and size, so its bytes are not needed; the size is corrected by what was left out.

const LF = 10
/** Lines of one base64 run that are kept: about 1.4 MB of content. */
const MAX_RUN = 25_000
const MAX_DELIMITERS = 4000
/** Each costs the parser half a kilobyte and some microseconds, also an empty one, and one of a file a part of that. */
const MAX_LINES = 60_000
const FILE_LINE = 0.1

export interface SlimMail {
  readonly raw: Uint8Array
  /** Encoded bytes left out of each cut run, in order. */
  readonly cuts: number[]
  /** More part delimiters than any honest mail has: parsing them all would exhaust memory. */
  readonly too_many_parts: boolean
  /** What came after the last line that is parsed is given up. */
  readonly too_many_lines: boolean
}

function isBase64Line(raw: Uint8Array, start: number, end: number): boolean {
  const length = end - start
  if (length < 40 || length > 1000) return false
  // Samples are enough: text has spaces or punctuation within any 40 characters, nearly always.
  for (const at of [start, start + 7, start + 15, start + 23, start + 31, start + 39, end - 2]) {
    const byte = raw[at] ?? 0
    const letter = (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122) || (byte >= 48 && byte <= 57)
    if (!letter && byte !== 43 && byte !== 47 && byte !== 61 && byte !== 13) return false
  }
  return true
}

export function slimRaw(raw: Uint8Array): SlimMail {
  const kept: Uint8Array[] = []
  const cuts: number[] = []
  let keptFrom = 0
  let run = 0
  let cut = 0
  let delimiters = 0
  let lines = 0
  let at = 0
  while (at < raw.length && lines < MAX_LINES) {
    const found = raw.indexOf(LF, at)
    const end = found < 0 ? raw.length : found + 1
    if (raw[at] === 45 && raw[at + 1] === 45) delimiters++
    if (isBase64Line(raw, at, found < 0 ? end : found)) {
      run++
      if (run > MAX_RUN) {
        if (cut === 0) kept.push(raw.subarray(keptFrom, at))
        cut += end - at
        keptFrom = end
      } else lines += FILE_LINE
    } else {
      lines++
      if (cut > 0) cuts.push(cut)
      run = 0
      cut = 0
    }
    at = end
  }
  if (cut > 0) cuts.push(cut)
  const too_many_parts = delimiters > MAX_DELIMITERS
  const too_many_lines = at < raw.length
  if (cuts.length === 0) return { raw: raw.subarray(0, at), cuts, too_many_parts, too_many_lines }
  kept.push(raw.subarray(keptFrom, at))
  const slim = new Uint8Array(kept.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of kept) {
    slim.set(part, offset)
    offset += part.length
  }
  return { raw: slim, cuts, too_many_parts, too_many_lines }
}

/** The decoded size of an attachment, with what was cut out of it. */
export function restoreSize(size: number, cuts: number[]): number {
  // Only a part that was cut can be this long: MAX_RUN lines of at least 40 characters.
  if (cuts.length === 0 || size < MAX_RUN * 30) return size
  return size + Math.floor(((cuts.shift() ?? 0) * 3) / 4)
}

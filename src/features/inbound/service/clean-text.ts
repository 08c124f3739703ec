// Strings that Postgres and JSON accept: no NUL (text columns refuse it), no lone surrogates (they are not UTF-8).

/** Removes NUL and lone surrogates. */
export function cleanText(text: string): string {
  const plain = text.includes('\u0000') ? text.replaceAll('\u0000', '') : text
  return plain.isWellFormed() ? plain : plain.replace(/\p{Cs}/gu, '')
}

/** One line: runs of CR, LF, blanks and control characters become one space, so that no value can break out of a header. */
export function cleanLine(text: string, max: number): string {
  // C0 and C1 controls, and the two Unicode line ends that some programs treat as such.
  const line = cleanText(text)
    .replace(/[\p{Cc} \u2028\u2029]+/gu, ' ')
    .trim()
  return truncate(line, max)
}

/** Cuts to at most `max` UTF-16 units without leaving half a character. */
export function truncate(text: string, max: number): string {
  if (text.length <= max) return text
  const cut = text.slice(0, max)
  return cut.isWellFormed() ? cut : cut.slice(0, -1)
}

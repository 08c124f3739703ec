// What the organization wrote for its replies: which lines may be said as they stand, and which only tell the writer what to do.

const DIRECTIVE =
  /\b(never|don'?t|do not|must not|mustn'?t|always|avoid|should|shall|tone|voice|internal(?:ly)?|confidential|secret|private|reply|respond|answer|mention|tell|say|sign|write|ask|ignore|keep|unless|polite|friendly|short|floor price|at most|maximum|negotiat\w*|margin|nunca|não|sempre|niemals|immer)\b/i

const MIN_LINE = 8
const MAX_LINE = 300

/** The sentences that state a fact about the organization. A line that sounds like an order to the writer is never said aloud. */
export function speakableLines(instructions: string): string[] {
  return instructions
    .slice(0, 20_000)
    .split(/\r?\n/)
    .flatMap((line) => line.replace(/^\s*(?:[-*•]|\d{1,2}[.)])\s+/, '').split(/(?<=[.!?])\s+/))
    .map((line) => line.trim())
    .filter((line) => line.length >= MIN_LINE && line.length <= MAX_LINE && !DIRECTIVE.test(line))
}

/** Letters and digits only, lower case: how texts are compared. */
export function wordsOf(text: string): string[] {
  return (
    text
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? []
  )
}

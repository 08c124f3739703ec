// Message-IDs come from outside and go into In-Reply-To and References of our answers, so only what is well formed passes
// (RFC 5322 §3.6.4; the 998 limit is a line's, §2.1.1). An encoded word is not allowed there and has been used to carry CR and LF.

const MAX_ID = 998
const MAX_REFERENCES = 40
// dot-atom text with what real programs also use; the right side may be a domain, a name or a literal.
const ID =
  /^<(?=[!-~]+$)[^<>"()[\]\\,;:@][^<>"\\@]{0,900}@(?:[A-Za-z0-9_.$%~+=:/#!?*{}|^&'-]{1,255}|\[[A-Za-z0-9:.]{1,80}\])>$/
const QUOTED_ID = /^<"(?=[!-~]+$)[^<>"\\]{1,300}"@[A-Za-z0-9_.-]{1,255}>$/

export interface MessageId {
  readonly id: string | null
  readonly malformed: boolean
}

function isWellFormed(id: string): boolean {
  return id.length <= MAX_ID && !id.includes('=?') && (ID.test(id) || QUOTED_ID.test(id))
}

/** Reads a Message-ID from its unfolded, undecoded value. `raw` is the line as it came, where a bare CR is still to be seen. */
export function readMessageId(value: string | undefined, raw: string): MessageId {
  if (value === undefined) return { id: null, malformed: false }
  const trimmed = value.replace(/^[ \t]+|[ \t]+$/g, '')
  if (trimmed === '') return { id: null, malformed: false }
  // Folding right after the name is common in mail of Exchange; a CR elsewhere is an attempt at a header of its own.
  const bareBreak = /\r(?!\n)/.test(raw) || raw.includes('\u0000')
  if (bareBreak || !isWellFormed(trimmed)) return { id: null, malformed: true }
  return { id: trimmed, malformed: false }
}

/** All well-formed ids of a References or In-Reply-To value. */
export function readIds(value: string | undefined): string[] {
  const ids: string[] = []
  const text = (value ?? '').slice(0, 200_000)
  let at = 0
  while (at < text.length) {
    const open = text.indexOf('<', at)
    if (open < 0) break
    const close = text.indexOf('>', open)
    if (close < 0) break
    // A second "<" inside starts over, so that "<<a@b>" still yields its id.
    const start = text.lastIndexOf('<', close)
    const id = text.slice(start, close + 1)
    if (isWellFormed(id)) ids.push(id)
    at = close + 1
  }
  return ids
}

/** Ids without repetition; of a long chain the first and last 20. */
export function capReferences(ids: readonly string[]): string[] {
  const unique = [...new Set(ids)]
  if (unique.length <= MAX_REFERENCES) return unique
  return [...unique.slice(0, MAX_REFERENCES / 2), ...unique.slice(-MAX_REFERENCES / 2)]
}

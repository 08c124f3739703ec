// What a reply says about the mail that it answers. Every input here was written by a stranger.

const MAX_SUBJECT = 400
/** RFC 5322 §2.1.1: no line is longer. */
const MAX_ID = 998
const KEPT_AT_EACH_END = 20

/** "Re: …" once, whatever the other side had put before it; Gmail keeps a thread together only with an equal subject. */
export function replySubject(subject: string): string {
  const line = subject.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim()
  return `Re: ${stripReplyPrefixes(line).slice(0, MAX_SUBJECT)}`.trim()
}

// A loop instead of one repeated pattern: "re:re:re:…" must not cost more than its length.
function stripReplyPrefixes(subject: string): string {
  let rest = subject
  for (;;) {
    const prefix = /^re(?:\[\d{1,4}\])?\s?:\s?/i.exec(rest)
    if (!prefix) return rest.trim()
    rest = rest.slice(prefix[0].length)
  }
}

/** `null` for what must not go into a header of ours. */
export function messageIdOrNull(value: string | null): string | null {
  if (value === null || value.length > MAX_ID) return null
  // An encoded word could carry a line break past the check.
  return /^<[!-;=?A-~]+@[!-;=?A-~]+>$/.test(value) && !value.includes('=?') ? value : null
}

/** The parent's chain and the parent itself; of a long one its first and last 20 (RFC 5322 §3.6.4 allows to shorten). */
export function replyReferences(references: readonly string[], message_id: string | null): string[] {
  const ids = [...references, message_id].flatMap((id) => messageIdOrNull(id) ?? [])
  // The parent stays last, also where a stranger has named it earlier in the chain.
  const chain = [...new Set(ids.toReversed())].toReversed()
  if (chain.length <= 2 * KEPT_AT_EACH_END) return chain
  return [...chain.slice(0, KEPT_AT_EACH_END), ...chain.slice(-KEPT_AT_EACH_END)]
}

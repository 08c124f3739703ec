// What an SMTP server says, and what follows for the mail (RFC 5321, 3207, 4954, 1870, 6531, 3461). Pure.
import { type Failure, type FailureKind, fail } from '#kernel/failure'

/** How far a session has come. From `dot` on the server may have the mail. */
export type SmtpPhase =
  | 'connect'
  | 'greeting'
  | 'ehlo'
  | 'starttls'
  | 'tls'
  | 'auth'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'body'
  | 'dot'

export interface SmtpReply {
  code: number
  /** RFC 3463, where the server gives one: `5.1.1`. */
  enhanced: string | null
  /** Without code and separator. */
  lines: string[]
}

/** One line of a reply; `null`: no SMTP server speaks so. */
export function readReplyLine(line: string): { code: number; last: boolean; text: string } | null {
  const found = /^([2-5]\d\d)([ -]|$)/.exec(line)
  if (!found) return null
  return { code: Number(found[1]), last: found[2] !== '-', text: line.slice(4) }
}

/** Its lines have one code; `null` when they have not. */
export function readReply(lines: readonly { code: number; text: string }[]): SmtpReply | null {
  const code = lines[0]?.code
  if (code === undefined || lines.some((line) => line.code !== code)) return null
  const enhanced = /^([245]\.\d{1,3}\.\d{1,3})(?:\s|$)/.exec(lines.at(-1)?.text ?? '')?.[1] ?? null
  return { code, enhanced, lines: lines.map((line) => line.text) }
}

export interface Capabilities {
  starttls: boolean
  auth: string[]
  /** The largest mail that it takes, in bytes; `null`: it does not say. */
  size: number | null
  size_known: boolean
  eight_bit: boolean
  utf8: boolean
  dsn: boolean
}

export function readCapabilities(reply: SmtpReply): Capabilities {
  const words = new Map<string, string[]>()
  for (const line of reply.lines.slice(1)) {
    // `AUTH=LOGIN` is what servers wrote before RFC 4954.
    const [name = '', ...rest] = line
      .trim()
      .toUpperCase()
      .split(/[\s=]+/)
    words.set(name, [...(words.get(name) ?? []), ...rest])
  }
  const size = Number(words.get('SIZE')?.[0] ?? 0)
  return {
    starttls: words.has('STARTTLS'),
    auth: words.get('AUTH') ?? [],
    size: Number.isSafeInteger(size) && size > 0 ? size : null,
    size_known: words.has('SIZE'),
    eight_bit: words.has('8BITMIME'),
    utf8: words.has('SMTPUTF8'),
    dsn: words.has('DSN'),
  }
}

const beforeMail: readonly SmtpPhase[] = ['connect', 'greeting', 'ehlo', 'starttls', 'tls', 'auth']

/** A reply that is not the one hoped for. Certain not to have left. */
export function judgeReply(phase: SmtpPhase, reply: SmtpReply): Failure {
  const shown = `${reply.code}${reply.enhanced === null ? '' : ` ${reply.enhanced}`}`
  const refuse = (kind: FailureKind, code: string): Failure =>
    fail(kind, code, `The SMTP server answered ${shown} (${phase}).`).failure
  if (reply.code < 400) return refuse('transient', 'smtp_unexpected_reply')
  // Before MAIL the server is busy for every mail, and none of them fails for it.
  if (reply.code < 500)
    return refuse(beforeMail.includes(phase) ? 'rate_limited' : 'transient', 'smtp_try_later')
  switch (phase) {
    case 'mail':
      return reply.code === 552 ? refuse('permanent', 'too_large') : refuse('auth', 'smtp_sender_refused')
    case 'rcpt':
      return judgeRecipient(reply, refuse)
    case 'data':
    case 'body':
    case 'dot':
      // What it refuses is this mail; the recipient may well get another one.
      return refuse('permanent', 'mail_refused')
    case 'auth':
      return refuse('auth', 'smtp_login_refused')
    case 'connect':
    case 'greeting':
    case 'ehlo':
    case 'starttls':
    case 'tls':
      return refuse('auth', 'smtp_refused')
  }
}

/** Only what speaks of the address may put it on the suppression list: not that we may not relay, nor a full mailbox. */
function judgeRecipient(reply: SmtpReply, refuse: (kind: FailureKind, code: string) => Failure): Failure {
  const text = reply.lines.join(' ')
  if (reply.code === 530 || reply.code === 535 || /\brelay/i.test(text))
    return refuse('auth', 'smtp_relay_refused')
  if (reply.code === 552 || reply.enhanced?.startsWith('5.2.2')) return refuse('permanent', 'mailbox_full')
  if (reply.enhanced?.startsWith('5.7.')) return refuse('permanent', 'mail_refused')
  return refuse('permanent', 'bad_recipient')
}

/** Why a session ended without a reply. */
export type SmtpBreakCause = 'closed' | 'timeout' | 'garbage'

/**
 * Before MAIL nothing was said of this mail: server or line are at fault, for every mail. From the dot on the caller takes it
 * for ambiguous.
 */
export function judgeBreak(phase: SmtpPhase, cause: SmtpBreakCause): Failure {
  const what = {
    closed: 'closed the connection',
    timeout: 'did not answer in time',
    garbage: 'did not answer as SMTP servers do',
  }[cause]
  const message = `The SMTP server ${what} (${phase}).`
  switch (phase) {
    case 'connect':
    case 'greeting':
    case 'ehlo':
    case 'starttls':
    case 'auth':
      return fail('auth', 'smtp_unreachable', message).failure
    case 'tls':
      return fail('auth', 'smtp_tls_failed', message).failure
    case 'mail':
    case 'rcpt':
    case 'data':
    case 'body':
    case 'dot':
      return fail('transient', `smtp_${cause}`, message).failure
  }
}

const [CR, LF, DOT] = [13, 10, 46]

/**
 * The mail as DATA wants it: every line ends with CR LF and nothing else ends one, a line's first dot is doubled, the last line
 * is complete. The final dot is not in it.
 */
export function stuffDots(mail: Uint8Array): Uint8Array {
  // At the worst every byte is a bare line break before a dot.
  const out = new Uint8Array(mail.length * 2 + 2)
  let at = 0
  let lineStart = true
  for (let i = 0; i < mail.length; i++) {
    const byte = mail[i] ?? 0
    if (byte === CR || byte === LF) {
      if (byte === CR && mail[i + 1] === LF) i++
      out[at++] = CR
      out[at++] = LF
      lineStart = true
      continue
    }
    if (lineStart && byte === DOT) out[at++] = DOT
    out[at++] = byte
    lineStart = false
  }
  if (!lineStart) {
    out[at++] = CR
    out[at++] = LF
  }
  return out.subarray(0, at)
}

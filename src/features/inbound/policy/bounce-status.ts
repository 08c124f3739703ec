// What a bounce means for the address: dead ("hard": never write again) or only this mail refused. Enhanced status codes are RFC 3463;
// because many servers send 5.0.0 or a wrong one, the words decide where the code does not.

import type { DeliveryReport } from './mail-facts'

type BounceReason =
  | 'unknown_user'
  | 'unknown_host'
  | 'moved'
  | 'mailbox_full'
  | 'disabled'
  | 'policy'
  | 'spam'
  | 'too_large'
  | 'loop'
  | 'local_error'
  | 'delayed'
  | 'other'

export interface Bounce {
  readonly hard: boolean
  readonly reason: BounceReason
  readonly recipient: string | null
  readonly status: string | null
  readonly original_message_id: string | null
  readonly diagnostic: string | null
}

const WORDS: readonly (readonly [BounceReason, RegExp])[] = [
  [
    'mailbox_full',
    /mailbox (?:is |has )?(?:full|exceeded)|over ?quota|quota (?:exceeded|full)|exceeds? .{0,20}quota|out of storage|insufficient (?:disk|storage)|mailbox size limit|is full|disk quota|not enough (?:disk|space)/i,
  ],
  [
    'local_error',
    /procmail|couldn.t create|can.t create|command (?:output|died)|mailer error|local configuration error|i\/o error|unable to (?:lock|write)|system (?:error|config)/i,
  ],
  [
    'spam',
    /spam|junk|blacklist|block ?list|blocklisted|\bdnsbl\b|\brbl\b|spamhaus|barracuda|uribl|surbl|poor reputation|bad reputation|virus|malware|content (?:rejected|filter)/i,
  ],
  [
    'policy',
    /\bspf\b|dkim|dmarc|unauthenticated|authentication (?:required|fail)|not authori[sz]ed|policy|access denied|relay(?:ing)? (?:access )?denied|unable to relay|not permitted|not allowed|rate limit|too many|blocked|greylist|graylist|tls|rejected by|refused to accept|sender (?:address )?(?:rejected|denied|verify)|restricted/i,
  ],
  ['loop', /hop count|too many hops|mail loop|routing loop|loops? back/i],
  ['too_large', /too (?:large|big)|message size exceeds|exceeds .{0,20}(?:maximum|limit|size)|size limit/i],
  ['disabled', /disabled|suspended|discontinued|inactive|deactivated|expired|on hold|not active|locked/i],
  [
    'moved',
    /has moved|no longer (?:with|at|works|here|employed)|not our customer|please forward|changed (?:his|her|their|my) (?:e-?mail )?address/i,
  ],
  [
    'unknown_host',
    /host (?:or domain name )?(?:not found|unknown)|unknown host|domain (?:name )?(?:not found|does(?:n.t| not) exist|is invalid)|no (?:such|mx) (?:domain|record|host)|nxdomain|dns (?:error|lookup fail)|name (?:service|server) (?:error|fail)|unrouteable (?:mail )?domain|bad destination (?:host|system)/i,
  ],
  [
    'unknown_user',
    /user (?:is )?(?:unknown|not found|not known)|unknown (?:user|recipient|local|address|account)|no such (?:user|mailbox|recipient|address|person|account|local)|(?:address|recipient|mailbox|account|user|person) .{0,60}(?:not found|unknown|does(?:n.t| not) exist|not exist|could ?n.t be found|invalid|rejected|unavailable|not (?:listed|valid|known|a valid))|does(?:n.t| not) (?:have|exist)|invalid (?:recipient|mailbox|address|user)|recipientnotfound|not a (?:valid|known) (?:user|mailbox|recipient)|no mailbox|undeliverable address|not listed in|unrouteable address|no account by that name/i,
  ],
]

const HARD: ReadonlySet<BounceReason> = new Set(['unknown_user', 'unknown_host', 'moved'])

function readReasonOfCode(status: string | null): BounceReason | null {
  if (status === null) return null
  if (status.startsWith('4.')) return /^4\.2\.2$/.test(status) ? 'mailbox_full' : 'delayed'
  if (status.startsWith('5.7.')) return 'policy'
  if (status === '5.2.2') return 'mailbox_full'
  if (status === '5.2.1') return 'disabled'
  if (status === '5.2.3' || status === '5.3.4') return 'too_large'
  if (status === '5.4.6') return 'loop'
  if (status === '5.1.6') return 'moved'
  if (status === '5.1.2' || status === '5.4.4') return 'unknown_host'
  // 5.1.7 and 5.1.8 speak of the sender's address, not of the recipient's.
  if (status === '5.1.7' || status === '5.1.8') return 'policy'
  return /^5\.1\.(?:1|3|10)$/.test(status) ? 'unknown_user' : null
}

function readReasonOfWords(text: string): BounceReason | null {
  return WORDS.find(([, pattern]) => pattern.test(text))?.[0] ?? null
}

/** Reads a report together with the text around it; null when it tells of a delivery that succeeded. */
export function readBounce(report: DeliveryReport | null, text: string): Bounce | null {
  // RFC 3464 §2.3.3: delivered, relayed and expanded are good news.
  if (report?.action && /^(?:delivered|relayed|expanded)$/.test(report.action)) return null
  const status = report?.status ?? null
  const code = readReasonOfCode(status)
  const words =
    readReasonOfWords(`${report?.diagnostic ?? ''}`.slice(0, 2000)) ?? readReasonOfWords(text.slice(0, 3000))
  let reason: BounceReason = code ?? words ?? 'other'
  if (report?.action === 'delayed') reason = 'delayed'
  // A dead address by its code, but words of a full disk, a filter or a script: such servers answer 5.1.1 to everything.
  else if (
    code === 'unknown_user' &&
    words !== null &&
    ['mailbox_full', 'local_error', 'spam'].includes(words) &&
    report?.diagnostic
  ) {
    reason = readReasonOfWords(report.diagnostic) ?? reason
  }
  return {
    hard: HARD.has(reason),
    reason,
    recipient: report?.final_recipient ?? null,
    status,
    original_message_id: report?.original_message_id ?? null,
    diagnostic: report?.diagnostic ?? null,
  }
}

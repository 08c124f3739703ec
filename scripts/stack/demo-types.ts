// The part of the product's answers that demo:mail shows.

export interface Verdict {
  rule: string
  passed: boolean
  detail: string
}

export interface Message {
  id: string
  message_id: string | null
  direction: string
  classification: string
  dmarc: string | null
  verdicts: Verdict[]
}

export interface Draft {
  id: string
  status: string
  decision: string | null
  category: string | null
  confidence: number | null
  reason: string | null
  gate: Verdict[]
  ai_failure: { message: string } | null
  message: { id: string }
  send: { id: string; state: string } | null
}

export interface SentMail {
  skip_reason: string | null
  last_error: { message: string } | null
}

export const verdictLines = (verdicts: Verdict[]): string[] =>
  verdicts.map(({ rule, passed, detail }) => `${passed ? '✓' : '✗'} ${rule}: ${detail}`)

// What a test may want of an SMTP server (smtp-server.ts).

export type FaultPhase =
  | 'connect'
  | 'greeting'
  | 'ehlo'
  | 'starttls'
  | 'auth'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'body'
  | 'dot'
export type FaultAct =
  | 'close'
  /** At the dot: before the server has seen it. */
  | 'close_before'
  | 'hang'
  | 'garbage'
  | 'endless_lines'
  | 'endless_line'
  | 'drip'
  /** One more reply than was asked for. */
  | 'extra'
  /** A reply, code and text. */
  | `${number} ${string}`

export interface SmtpScenario {
  tls?: 'off' | 'starttls' | 'implicit'
  certificate?: 'good' | 'expired' | 'wrong_host' | 'unknown_ca'
  fault?: { phase: FaultPhase; act: FaultAct }
  size?: number
  utf8?: boolean
  eight_bit?: boolean
  /** Login methods; none: nobody has to log in. */
  auth?: ('PLAIN' | 'LOGIN' | 'CRAM-MD5')[]
}

export interface ReceivedMail {
  from: string
  to: string[]
  parameters: Record<string, unknown>
  user: string | null
  secure: boolean
  raw: string
}

export const SMTP_USER = 'mailer'
export const SMTP_PASSWORD = 'test-only-smtp-pässword'

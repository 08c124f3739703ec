// A parsed mail as the rules see it. It stands here because policy may import only the kernel and its neighbours; service/parse-message.ts fills it in.

export interface MailAddress {
  readonly email: string
  readonly name: string
}

export interface MailHeader {
  /** Lower case. */
  readonly name: string
  /** Unfolded. */
  readonly value: string
}

export interface MailAttachment {
  readonly filename: string
  readonly mime_type: string
  readonly size: number
}

export interface DeliveryReport {
  readonly final_recipient: string | null
  readonly status: string | null
  readonly action: string | null
  readonly original_message_id: string | null
  readonly diagnostic: string | null
}

export interface ParsedMail {
  readonly message_id: string | null
  /** There is a Message-ID, but nothing that may be written into another mail's headers. */
  readonly message_id_malformed: boolean
  readonly in_reply_to: string | null
  readonly references: string[]
  readonly from: MailAddress | null
  /** How many From claims: more than one is nobody's honest mail. */
  readonly senders: number
  readonly sender: MailAddress | null
  readonly reply_to: MailAddress[]
  /** Some Reply-To is on another registrable domain than From. */
  readonly reply_to_foreign: boolean
  readonly to: MailAddress[]
  readonly cc: MailAddress[]
  readonly bcc: MailAddress[]
  readonly subject: string
  readonly sent_at: string | null
  /** All visible text. */
  readonly text: string
  /** What the person wrote. */
  readonly stripped_text: string
  readonly hidden_text: string
  readonly attachments: MailAttachment[]
  /** Topmost first. */
  readonly authentication_results: string[]
  readonly headers: MailHeader[]
  readonly report: DeliveryReport | null
  readonly truncated: boolean
}

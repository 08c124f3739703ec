// What an AI provider is asked and what it may answer. It writes text and judges it; it never chooses a recipient, has no
// tools, and sees one conversation only.
import * as z from 'zod'
import type { Result } from '#kernel/failure'
import { type AiProviderName, type Channel, draftCategories } from '#kernel/vocabulary'
import type { Config } from '#platform/config'
import type { Ctx } from '#platform/context'

/** The timeout of one answer. */
export const ANSWER_TIMEOUT_MS = 25_000
/** Longer than any reply: an answer beyond it is a fault, not a text to shorten. */
export const MAX_OUTPUT_BYTES = 50 * 1024

export interface DraftInput {
  organization: {
    name: string
    from_name: string | null
    timezone: string
    reply_instructions: string
    allowed_link_hosts: string[]
    allowed_commitments: string[]
  }
  channel: Channel
  subject: string
  from_name: string | null
  /** What the sender wrote in this message, without quotes. */
  text: string
  /** Earlier messages without quotes, oldest first. */
  thread: { from: 'them' | 'us'; text: string }[]
  /** What a person of the organization asked for when they wanted another text. */
  instruction: string | null
  /** Random and of this call alone: nobody outside can forge the delimiter, and a reply that holds it leaked the prompt. */
  boundary: string
}

const MAX_REMARK = 1000

/** What Postgres cannot hold: NUL, and halves of characters. */
const storable = z.string().transform((text) => text.toWellFormed().replaceAll('\0', '').trim())

export const draftOutput = z.object({
  reply_text: storable,
  confidence: z.number().min(0).max(1),
  needs_human: z.boolean(),
  reason: storable.pipe(z.string().min(1)).transform((text) => text.slice(0, MAX_REMARK).toWellFormed()),
  intent: storable.pipe(z.string().min(1).max(100)).catch('general'),
  category: z.enum(draftCategories).default('inquiry'),
  price_guidance: storable.transform((text) => text.slice(0, MAX_REMARK).toWellFormed()).nullish(),
})
export type DraftOutput = z.infer<typeof draftOutput>

export interface DraftProvider {
  name: AiProviderName
  isConfigured(config: Config): boolean
  /** The model behind it, when there is one to name. */
  model(config: Config): string | null
  /** Never throws: what the other side does wrong comes back as a failure. */
  draft(ctx: Pick<Ctx, 'config' | 'http'>, input: DraftInput): Promise<Result<DraftOutput>>
}

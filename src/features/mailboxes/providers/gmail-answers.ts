// What Gmail answers, as far as we read it. Empty lists are omitted; a history id is beyond 2^53, so it stays text.
import * as z from 'zod'

export const gmailId = z.string().min(1).max(200)
export const gmailMessage = z.object({
  id: gmailId,
  threadId: gmailId,
  labelIds: z.array(z.string()).default([]),
})
const changed = z.object({ message: gmailMessage })
export const historyAnswer = z.object({
  historyId: gmailId,
  nextPageToken: z.string().optional(),
  history: z
    .array(
      z.object({
        id: gmailId,
        messagesAdded: z.array(changed).default([]),
        labelsAdded: z.array(changed.extend({ labelIds: z.array(z.string()).default([]) })).default([]),
      }),
    )
    .default([]),
})
export const listAnswer = z.object({
  nextPageToken: z.string().optional(),
  messages: z.array(z.object({ id: gmailId, threadId: gmailId })).default([]),
})
export const rawAnswer = gmailMessage.extend({ raw: z.string(), internalDate: z.string().regex(/^\d+$/) })

/** One part of a mail in its long form; files above a few KB come without their data. */
export interface MessagePart {
  mimeType: string
  headers: { name: string; value: string }[]
  data: string | undefined
  parts: MessagePart[]
}
const partBody = z.object({ data: z.string().optional() }).default({})
const partHeaders = z.array(z.object({ name: z.string(), value: z.string() })).default([])
const part: z.ZodType<MessagePart> = z
  .object({
    mimeType: z.string().default(''),
    headers: partHeaders,
    body: partBody,
    get parts() {
      return z.array(part).default([])
    },
  })
  .transform(({ body, ...rest }) => ({ ...rest, data: body.data }))
export const fullAnswer = gmailMessage.extend({ payload: part, internalDate: z.string().regex(/^\d+$/) })

// The raw form is base64 in JSON. An object has 128 MB for all that it does, and this text, its bytes and what the parser
// makes of them at the same time; mail that is longer is asked for without its files.
export const RAW_MAX_BYTES = 16 * 1024 * 1024

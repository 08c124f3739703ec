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

// Gmail takes 35 MB; the raw form is base64.
export const RAW_MAX_BYTES = 50 * 1024 * 1024

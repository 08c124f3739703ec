import * as z from 'zod'
import type { Subscriber } from '#kernel/event'
import type { Job } from '#kernel/job'
import type { Ctx } from '#platform/context'

const payload = z.object({ org_id: z.uuid(), draft_id: z.uuid() })

export const draftReply: Job<z.infer<typeof payload>, Ctx> = {
  name: 'draft-reply',
  queue: 'drafts',
  payload,
  run: async (ctx, ids) => {
    // Loaded with the first draft: the lint's lists of domains would slow every isolate's start.
    const { answerDraft } = await import('../service/answer-draft')
    await answerDraft(ctx, ids)
  },
}

export const draftRequested: Subscriber = {
  event: 'draft.requested',
  job: draftReply.name,
  queue: draftReply.queue,
  payload: ({ payload: { draft_id } }) => (draft_id === undefined ? null : { draft_id }),
}

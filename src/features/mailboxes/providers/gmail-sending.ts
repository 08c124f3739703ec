// Drafts and what became of them: with Gmail a draft is a token that sends once.
import * as z from 'zod'
import { type Result, succeed } from '#kernel/failure'
import { fromBase64Url } from '#platform/crypto'
import type { MailApi, MailProvider } from './contract'
import { gmailId as id, gmailMessage as message, listAnswer, rawAnswer } from './gmail-answers'
import { callGmail, mapResult } from './gmail-call'

const draftAnswer = z.object({ id, message: z.object({ threadId: id.optional() }).optional() })
const threadAnswer = z.object({ messages: z.array(message).default([]) })
const sentAnswer = message.partial({ labelIds: true })
const headersAnswer = z.object({
  payload: z
    .object({ headers: z.array(z.object({ name: z.string(), value: z.string() })).default([]) })
    .optional(),
})

const SEND_TIMEOUT_MS = 25_000
/** As much base64 as holds every header that we write. */
const HEAD = 4 * 5460

export const gmailSending: Pick<
  MailProvider,
  'isAnswered' | 'createDraft' | 'sendDraft' | 'deleteDraft' | 'draftExists' | 'findSent'
> = {
  isAnswered: async (api, thread_id) =>
    mapResult(await readThread(api, thread_id), (messages) => {
      const left = messages.filter(
        ({ labelIds }) => !labelIds.includes('DRAFT') && !labelIds.includes('TRASH'),
      )
      return left.at(-1)?.labelIds.includes('SENT') ?? false
    }),

  createDraft: async (api, { raw, thread_id }) => {
    const create = (message: { raw: string; threadId?: string }) =>
      callGmail(api, 'POST', '/drafts', draftAnswer, { body: { message } })
    const wanted = await create(thread_id === null ? { raw } : { raw, threadId: thread_id })
    const isGone = !wanted.ok && wanted.failure.code === 'not_found' && thread_id !== null
    return mapResult(isGone ? await create({ raw }) : wanted, (draft) => ({
      draft_id: draft.id,
      thread_id: draft.message?.threadId ?? null,
    }))
  },

  sendDraft: async (api, draft_id) => {
    const sent = await callGmail(api, 'POST', '/drafts/send', sentAnswer, {
      body: { id: draft_id },
      timeout_ms: SEND_TIMEOUT_MS,
    })
    if (!sent.ok) return sent
    return succeed({
      provider_message_id: sent.value.id,
      provider_thread_id: sent.value.threadId,
      message_id: await readMessageId(api, sent.value.id),
    })
  },

  deleteDraft: async (api, draft_id) => {
    const answer = await callGmail(api, 'DELETE', `/drafts/${encodeURIComponent(draft_id)}`, z.unknown())
    return !answer.ok && answer.failure.code === 'not_found' ? succeed(null) : mapResult(answer, () => null)
  },
  draftExists: async (api, draft_id) => {
    const answer = await callGmail(
      api,
      'GET',
      `/drafts/${encodeURIComponent(draft_id)}?format=minimal`,
      z.unknown(),
    )
    return !answer.ok && answer.failure.code === 'not_found' ? succeed(false) : mapResult(answer, () => true)
  },

  findSent: async (api, { message_id, thread_id }) => {
    const candidates = new Set<string>()
    // The search index lags, and Gmail may have given the mail another Message-ID: the thread is asked too.
    const search = new URLSearchParams({
      q: `rfc822msgid:${message_id.replace(/^<|>$/g, '')}`,
      maxResults: '5',
    })
    const found = await callGmail(api, 'GET', `/messages?${search.toString()}`, listAnswer)
    if (!found.ok) return found
    for (const hit of found.value.messages) candidates.add(hit.id)
    if (thread_id !== null) {
      const thread = await readThread(api, thread_id)
      if (!thread.ok) return thread
      for (const hit of thread.value) if (hit.labelIds.includes('SENT')) candidates.add(hit.id)
    }
    for (const candidate of candidates) {
      const path = `/messages/${encodeURIComponent(candidate)}?format=raw`
      const answer = await callGmail(api, 'GET', path, rawAnswer)
      if (!answer.ok) {
        // Gone meanwhile, or larger than any mail of ours.
        if (['not_found', 'answer_too_large'].includes(answer.failure.code)) continue
        return answer
      }
      const head = new TextDecoder('latin1').decode(fromBase64Url(answer.value.raw.slice(0, HEAD)))
      const send_id = message_id.slice(1).split('@')[0] ?? ''
      const carriesOurs =
        head.includes(message_id) || head.toLowerCase().includes(`x-inlet-send-id: ${send_id}`)
      if (answer.value.labelIds.includes('SENT') && carriesOurs) {
        return succeed({
          provider_message_id: candidate,
          provider_thread_id: answer.value.threadId,
          message_id: await readMessageId(api, candidate),
        })
      }
    }
    return succeed(null)
  },
}

/** The mails of a thread, oldest first; none when it is gone. */
async function readThread(api: MailApi, thread_id: string): Promise<Result<z.infer<typeof message>[]>> {
  const path = `/threads/${encodeURIComponent(thread_id)}?format=minimal`
  const thread = await callGmail(api, 'GET', path, threadAnswer)
  if (!thread.ok && thread.failure.code === 'not_found') return succeed([])
  return mapResult(thread, ({ messages }) => messages)
}

/** Gmail may replace our Message-ID; what the mail really carries is what replies will refer to. */
async function readMessageId(api: MailApi, message_id: string): Promise<string | null> {
  const answer = await callGmail(
    api,
    'GET',
    `/messages/${encodeURIComponent(message_id)}?format=metadata&metadataHeaders=Message-ID`,
    headersAnswer,
  )
  // The mail has left: not knowing its header is no failure of the send.
  if (!answer.ok) return null
  return (
    answer.value.payload?.headers.find((header) => header.name.toLowerCase() === 'message-id')?.value ?? null
  )
}

// Drafts and what became of them: with Gmail a draft is a token that sends once.
import * as z from 'zod'
import { succeed } from '#kernel/failure'
import { fromBase64Url } from '#platform/crypto'
import type { MailApi, MailProvider } from './contract'
import { gmailId as id, gmailMessage as message, listAnswer, RAW_MAX_BYTES, rawAnswer } from './gmail-answers'
import { callGmail, mapResult } from './gmail-call'

const sentAnswer = message.partial({ labelIds: true })
const headersAnswer = z.object({
  payload: z
    .object({ headers: z.array(z.object({ name: z.string(), value: z.string() })).default([]) })
    .optional(),
})

const SEND_TIMEOUT_MS = 25_000

export const gmailSending: Pick<
  MailProvider,
  'createDraft' | 'sendDraft' | 'deleteDraft' | 'draftExists' | 'findSent'
> = {
  createDraft: async (api, { raw, thread_id }) =>
    mapResult(
      await callGmail(
        api,
        'POST',
        '/drafts',
        z.object({ id, message: z.object({ threadId: id.optional() }).optional() }),
        {
          body: { message: { raw, ...(thread_id === null ? {} : { threadId: thread_id }) } },
        },
      ),
      (draft) => ({ draft_id: draft.id, thread_id: draft.message?.threadId ?? null }),
    ),

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
      const thread = await callGmail(
        api,
        'GET',
        `/threads/${encodeURIComponent(thread_id)}?format=minimal`,
        z.object({ messages: z.array(message).default([]) }),
      )
      if (!thread.ok && thread.failure.code !== 'not_found') return thread
      for (const hit of thread.ok ? thread.value.messages : [])
        if (hit.labelIds.includes('SENT')) candidates.add(hit.id)
    }
    for (const candidate of candidates) {
      const answer = await callGmail(
        api,
        'GET',
        `/messages/${encodeURIComponent(candidate)}?format=raw`,
        rawAnswer,
        { max_bytes: RAW_MAX_BYTES },
      )
      if (!answer.ok) continue
      const head = new TextDecoder('latin1').decode(fromBase64Url(answer.value.raw).subarray(0, 16_384))
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

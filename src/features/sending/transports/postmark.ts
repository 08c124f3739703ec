// Postmark's API. It knows no idempotency key: what got no answer is looked up by its metadata once it must be in the index.
import { type Failure, fail, succeed } from '#kernel/failure'
import type { Ctx } from '#platform/context'
import { senderOf } from '../policy/outgoing-mail'
import {
  judgePostmarkAnswer,
  judgePostmarkSearch,
  MAX_REQUEST_BYTES,
  writePostmarkMail,
} from '../policy/postmark'
import { hasBegun, takeMail } from '../service/begin-delivery'
import type { Transport } from './contract'

const TIMEOUT_MS = 25_000

export const postmark: Transport = {
  name: 'postmark',
  // The stream `outbound`: Postmark stops accounts that send other mail over it.
  carries: ['transactional'],

  prepare: async (ctx) => {
    const failure = missing(ctx)
    return failure ? { ok: false, failure } : succeed({ provider_draft_id: null, provider_thread_id: null })
  },

  deliver: async (ctx, send) => {
    const taken = await takeMail(ctx, send)
    if (!taken.ok) return taken.delivery
    const body = writePostmarkMail(taken.mail, send.org_id, senderOf(ctx.config))
    if (new TextEncoder().encode(body).length > MAX_REQUEST_BYTES)
      return {
        outcome: 'refused',
        failure: fail('permanent', 'too_large', 'The mail is larger than Postmark takes.').failure,
      }
    const answer = await ctx.http.request(`${ctx.config.POSTMARK_API_BASE}/email`, {
      method: 'POST',
      headers: { ...headers(ctx), 'Content-Type': 'application/json' },
      body,
      timeout_ms: TIMEOUT_MS,
    })
    if (!answer.ok) return { outcome: 'ambiguous', failure: answer.failure }
    const { status, text } = answer.value
    return judgePostmarkAnswer(status, text, answer.value.headers.get('Retry-After'))
  },

  reconcile: async (ctx, send) => {
    if (!hasBegun(send)) return { outcome: 'not_sent' }
    const failure = missing(ctx)
    if (failure) return { outcome: 'unavailable', failure }
    const query = new URLSearchParams({ count: '10', offset: '0', metadata_send_id: send.id })
    const answer = await ctx.http.request(
      `${ctx.config.POSTMARK_API_BASE}/messages/outbound?${query.toString()}`,
      {
        headers: headers(ctx),
        timeout_ms: TIMEOUT_MS,
      },
    )
    if (!answer.ok) return { outcome: 'unavailable', failure: answer.failure }
    const { status, text } = answer.value
    return judgePostmarkSearch(status, text, answer.value.headers.get('Retry-After'), send.id)
  },

  discard: async () => succeed(null),
}

function headers({ config }: Ctx): Record<string, string> {
  return { Accept: 'application/json', 'X-Postmark-Server-Token': config.POSTMARK_SERVER_TOKEN ?? '' }
}

function missing({ config }: Ctx): Failure | null {
  const names = (['POSTMARK_SERVER_TOKEN', 'FROM_EMAIL'] as const).filter(
    (name) => config[name] === undefined,
  )
  if (names.length === 0) return null
  return fail('auth', 'not_configured', `This needs the settings ${names.join(', ')}.`).failure
}

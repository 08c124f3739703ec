// Slack's incoming webhooks: JSON in, `ok` or the error's name as plain text out. They know no idempotency key, so an answer
// that got lost can mean a second post, never a missing one.
import { fail, type Result, succeed } from '#kernel/failure'
import type { Ctx } from '#platform/context'
import type { HttpResponse, HttpResult } from '#platform/http-client'
import type { Notice } from '../policy'
import type { NoticeChannel, NoticeTarget } from './contract'

const TIMEOUT_MS = 10_000
/** One message a second and webhook is what Slack allows; it names longer waits in Retry-After. */
const DEFAULT_WAIT_SECONDS = 30

export const slack: NoticeChannel = {
  name: 'slack',
  post: async (ctx, target, notice) => {
    const answer = await send(ctx, target, JSON.stringify({ text: toMrkdwn(notice), ...quiet }))
    return answer.ok ? judge(answer.value) : answer
  },
}

/** A link that a stranger wrote must not be fetched and shown as a preview. */
const quiet = { unfurl_links: false, unfurl_media: false }

async function send(ctx: Ctx, target: NoticeTarget, body: string): Promise<HttpResult> {
  const request = {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body,
    timeout_ms: TIMEOUT_MS,
  }
  if (target.slack_webhook_sealed === null) {
    const url = ctx.config.SLACK_WEBHOOK_URL
    if (url === undefined) return fail('permanent', 'not_configured', 'No Slack webhook is set.')
    return await ctx.http.request(url, request)
  }
  let url: string
  try {
    url = await ctx.open(target.slack_webhook_sealed, `organization:${target.org_id}:slack`)
  } catch {
    // The right key may come back: it is a setting of ours.
    return fail('transient', 'webhook_unreadable', 'No key of ours opens the webhook.')
  }
  return await ctx.http.requestPublic(url, request)
}

function judge({ status, headers, text }: HttpResponse): Result<null> {
  if (status === 200 && text.trim() === 'ok') return succeed(null)
  if (status === 429) {
    const seconds = Number(headers.get('Retry-After') ?? Number.NaN)
    return fail(
      'rate_limited',
      'slack_rate_limited',
      'Slack asks to wait.',
      Number.isFinite(seconds) && seconds > 0 ? seconds : DEFAULT_WAIT_SECONDS,
    )
  }
  if (status >= 500 || status === 408)
    return fail('transient', 'slack_unavailable', `Slack answered ${status}.`)
  const name = text.trim()
  const code = /^[a-z_]{1,60}$/.test(name) ? name : 'unexpected_answer'
  return fail('permanent', code, `Slack refused the message with ${status}.`)
}

function toMrkdwn({ title, lines, link }: Notice): string {
  return [`*${escape(title)}*`, ...lines.map(escape), `<${escape(link.url)}|${escape(link.label)}>`].join(
    '\n',
  )
}

/** The three characters that Slack's mrkdwn reserves: without them no text makes a link or calls a channel. */
function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

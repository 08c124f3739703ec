// Gmail: OAuth and the mail API. Protocol facts: quota errors come as 429 or 403, empty lists are omitted, a history id is a
// number beyond 2^53, and a cursor that is too old answers 404.
import * as z from 'zod'
import { fail, succeed } from '#kernel/failure'
import { requireSettings } from '#platform/config'
import type { Ctx } from '#platform/context'
import { fromBase64Url } from '#platform/crypto'
import type { ChangedMessage, MailProvider, RawMessage } from './contract'
import {
  fullAnswer,
  gmailId as id,
  type gmailMessage,
  historyAnswer,
  listAnswer,
  RAW_MAX_BYTES,
  rawAnswer,
} from './gmail-answers'
import { callGmail, mapResult } from './gmail-call'
import { writeMime } from './gmail-large'
import { gmailSending } from './gmail-sending'
import { exchangeCode, type OAuthEndpoints, refreshTokens } from './oauth'

const SCOPES = ['openid', 'email', 'https://www.googleapis.com/auth/gmail.modify']
const REQUIRED_SCOPE = 'https://www.googleapis.com/auth/gmail.modify'
// Accepted instead: a superset.
const FULL_SCOPE = 'https://mail.google.com/'
const settings = ['GOOGLE_CLIENT_ID', 'GOOGLE_CLIENT_SECRET', 'GOOGLE_OAUTH_REDIRECT_URI'] as const

const PAGE = 100

export const gmail: MailProvider = {
  name: 'google',
  settings,
  canPush: (config) => config.GOOGLE_PUBSUB_TOPIC !== undefined,

  authorizationUrl: (config, { state, nonce, code_challenge, login_hint }) => {
    const { GOOGLE_CLIENT_ID, GOOGLE_OAUTH_REDIRECT_URI } = requireSettings(config, ...settings)
    const url = new URL(config.GOOGLE_AUTH_URL)
    const params = {
      client_id: GOOGLE_CLIENT_ID,
      redirect_uri: GOOGLE_OAUTH_REDIRECT_URI,
      response_type: 'code',
      scope: SCOPES.join(' '),
      state,
      nonce,
      code_challenge,
      code_challenge_method: 'S256',
      // Only so does Google answer with a refresh token, also on a reconnect.
      access_type: 'offline',
      prompt: 'consent',
      include_granted_scopes: 'false',
      ...(login_hint === null ? {} : { login_hint }),
    }
    for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value)
    return url.toString()
  },

  exchange: (ctx, params, expected) => exchangeCode(ctx, endpoints(ctx), params, expected),
  missingScopes: (granted) =>
    granted.includes(REQUIRED_SCOPE) || granted.includes(FULL_SCOPE) ? [] : [REQUIRED_SCOPE],
  refresh: (ctx, refresh_token) => refreshTokens(ctx, endpoints(ctx), refresh_token),
  revoke: async (ctx, refresh_token) =>
    mapResult(
      await ctx.http.request(ctx.config.GOOGLE_REVOKE_URL, {
        method: 'POST',
        body: new URLSearchParams({ token: refresh_token }),
      }),
      () => null,
    ),

  watch: async (api) => {
    const body = {
      topicName: api.ctx.config.GOOGLE_PUBSUB_TOPIC,
      labelIds: ['INBOX', 'SENT'],
      labelFilterBehavior: 'INCLUDE',
    }
    const answer = z.object({ historyId: id, expiration: z.string().regex(/^\d+$/) })
    const first = await callGmail(api, 'POST', '/watch', answer, { body })
    // "Only one user push notification client allowed": another topic of this project watches; stop it, then try again.
    const retried = !first.ok && first.failure.code === 'watched_elsewhere'
    if (retried) await callGmail(api, 'POST', '/stop', z.unknown())
    return mapResult(
      retried ? await callGmail(api, 'POST', '/watch', answer, { body }) : first,
      ({ historyId, expiration }) => ({
        cursor: historyId,
        expires_at: new Date(Number(expiration)).toISOString(),
      }),
    )
  },
  unwatch: async (api) => mapResult(await callGmail(api, 'POST', '/stop', z.unknown()), () => null),

  currentCursor: async (api) => {
    const profile = await callGmail(api, 'GET', '/profile', z.object({ historyId: id }))
    if (profile.ok || profile.failure.code !== 'not_found')
      return mapResult(profile, ({ historyId }) => historyId)
    // An emulator without profiles: the newest message knows a history id.
    const newest = await callGmail(api, 'GET', '/messages?maxResults=1', listAnswer)
    if (!newest.ok) return newest
    const [first] = newest.value.messages
    if (!first) return succeed('1')
    return mapResult(
      await callGmail(api, 'GET', `/messages/${first.id}?format=minimal`, z.object({ historyId: id })),
      ({ historyId }) => historyId,
    )
  },

  changesSince: async (api, cursor) => {
    const query = new URLSearchParams({ startHistoryId: cursor, maxResults: String(PAGE) })
    for (const type of ['messageAdded', 'labelAdded']) query.append('historyTypes', type)
    const read = () =>
      callGmail(api, 'GET', `/history?${query.toString()}`, historyAnswer, { notFound: 'cursor_expired' })
    let answer = await read()
    // A page may hold nothing of what was asked for, and has then no record that the next one could begin at.
    while (answer.ok && answer.value.nextPageToken !== undefined && answer.value.history.length === 0) {
      query.set('pageToken', answer.value.nextPageToken)
      answer = await read()
    }
    return mapResult(answer, ({ history, historyId, nextPageToken }) => {
      const found = new Map<string, ChangedMessage>()
      for (const record of history) {
        for (const entry of record.messagesAdded)
          if (isRelevant(entry.message.labelIds)) add(found, entry.message)
        // Spam that a person rescues appears as a label, not as a message.
        for (const entry of record.labelsAdded) if (isRelevant(entry.labelIds)) add(found, entry.message)
      }
      const last = history.at(-1)?.id
      return {
        messages: [...found.values()],
        cursor: nextPageToken !== undefined && last !== undefined ? last : historyId,
        more: nextPageToken !== undefined,
      }
    })
  },

  searchSince: async (api, since, page) => {
    // One folder after the other; what the account wrote itself tells which mails are answered.
    const [folder = 'sent', ...token] = (page ?? 'sent').split(' ')
    const query = new URLSearchParams({
      q: `in:${folder} after:${Math.floor(since.getTime() / 1000)}`,
      maxResults: String(PAGE),
      ...(token.length === 0 ? {} : { pageToken: token.join(' ') }),
    })
    return mapResult(
      await callGmail(api, 'GET', `/messages?${query.toString()}`, listAnswer),
      ({ messages, nextPageToken }) => ({
        messages: messages.map(({ id: message_id, threadId }) => ({ id: message_id, thread_id: threadId })),
        next_page:
          nextPageToken === undefined ? (folder === 'sent' ? 'inbox' : null) : `${folder} ${nextPageToken}`,
      }),
    )
  },

  fetchRaw: async (api, message_id) => {
    const path = `/messages/${encodeURIComponent(message_id)}`
    const answer = await callGmail(api, 'GET', `${path}?format=raw`, rawAnswer, { max_bytes: RAW_MAX_BYTES })
    if (answer.ok) return succeed(toMessage(answer.value, fromBase64Url(answer.value.raw)))
    const { code } = answer.failure
    if (code === 'not_found') return succeed(null)
    if (code !== 'answer_too_large') return answer
    const long = await callGmail(api, 'GET', `${path}?format=full`, fullAnswer, { max_bytes: RAW_MAX_BYTES })
    if (long.ok) return succeed(toMessage(long.value, writeMime(long.value.payload)))
    if (long.failure.code === 'not_found') return succeed(null)
    return long.failure.code === 'answer_too_large'
      ? fail('permanent', 'unfetchable', 'The mail is too large to be read.')
      : long
  },

  ...gmailSending,
}

function toMessage(
  { threadId, internalDate, labelIds }: z.infer<typeof gmailMessage> & { internalDate: string },
  raw: Uint8Array,
): RawMessage {
  return {
    raw,
    thread_id: threadId,
    received_at: new Date(Number(internalDate)),
    relevant: isRelevant(labelIds),
    sent: labelIds.includes('SENT'),
  }
}

function isRelevant(labels: string[]): boolean {
  return (
    (labels.includes('INBOX') || labels.includes('SENT')) &&
    !labels.includes('DRAFT') &&
    !labels.includes('SPAM') &&
    !labels.includes('TRASH')
  )
}

function add(
  found: Map<string, ChangedMessage>,
  { id: message_id, threadId }: z.infer<typeof gmailMessage>,
): void {
  found.set(message_id, { id: message_id, thread_id: threadId })
}

function endpoints(ctx: Ctx): OAuthEndpoints {
  const { GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET, GOOGLE_OAUTH_REDIRECT_URI } = requireSettings(
    ctx.config,
    ...settings,
  )
  return {
    issuer: ctx.config.GOOGLE_ISSUER,
    token_url: ctx.config.GOOGLE_TOKEN_URL,
    client_id: GOOGLE_CLIENT_ID,
    client_secret: GOOGLE_CLIENT_SECRET,
    redirect_uri: GOOGLE_OAUTH_REDIRECT_URI,
  }
}

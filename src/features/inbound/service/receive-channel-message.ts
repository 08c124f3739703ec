import { invalidField, notFound } from '#kernel/errors'
import type { Ctx } from '#platform/context'
import { derivedUuid, sha256Hex } from '#platform/crypto'
import { accept, type Intake } from '#platform/intake'
import { inboundChannels } from '../channels'
import type { InboundChannel, Sender } from '../channels/contract'
import { normalizeBody } from '../policy/automated-signs'
import { stripQuoted } from '../policy/quoted-text'
import type { ChannelMessage, ReceivedMessage } from '../schema'
import { cleanLine, cleanText } from './clean-text'
import { countUnproven, siteTokenRefused, unjudged } from './site-token'
import { type Stored, storeInbound, toPayload } from './store-inbound'

/** Who posts: a user, or a site by its token, which the database judges. */
export interface ChannelCaller {
  org_id: string
  site_token?: { id: string; hash: string; proven: boolean }
}

/**
 * A message that a tenant's own system received on some channel. Once by channel and message id. One database round trip;
 * kept where the database does not answer.
 */
export async function receiveChannelMessage(
  ctx: Ctx,
  { org_id, site_token }: ChannelCaller,
  name: string,
  message: ChannelMessage,
): Promise<ReceivedMessage> {
  const channel = findChannel(name)
  const received_at = ctx.clock.now()
  const { proven = true, ...token } = site_token ?? {}
  if (!proven) await countUnproven(ctx)
  const input: Stored = {
    ...(await toInput(channel, message, received_at)),
    ...('id' in token ? { site_token: token } : {}),
  }
  const toKeep = async (): Promise<Intake> => {
    if (!proven) throw unjudged()
    return {
      kind: 'inbound',
      destination: { org_id },
      id: await derivedUuid(`message:${org_id}:${channel.name}:${message.message_id}`),
      received_at,
      // Its id alone tells one message from another, here as in the database.
      request_hash: '',
      payload: toPayload(ctx, input),
    }
  }
  const door = (limited: Ctx) => limited.db.org({ org_id, visibility: 'all' })
  const accepted = await accept(ctx, (limited) => storeInbound(limited, door(limited), input), toKeep)
  if (accepted.outcome === 'queued') return { status: 'queued' }
  if (accepted.outcome === 'key_reused') return { status: 'duplicate' }
  const { value } = accepted
  switch (value.outcome) {
    case 'created':
      return {
        status: 'received',
        message_id: value.message_id,
        ...(value.lead_id === undefined ? {} : { lead_id: value.lead_id }),
      }
    case 'duplicate':
      return {
        status: 'duplicate',
        ...(value.message_id === undefined ? {} : { message_id: value.message_id }),
      }
    case 'unauthenticated':
    case 'unknown_organization':
      throw siteTokenRefused()
    case 'own_send':
    case 'ignored':
    case 'key_reused':
    case 'origin_refused':
    case 'rate_limited':
      throw new TypeError(`A channel's message is not ${value.outcome}`)
  }
}

function findChannel(name: string): InboundChannel {
  const channel = inboundChannels.find((candidate) => candidate.name === name)
  if (!channel) throw notFound('The channel')
  return channel
}

async function toInput(
  channel: InboundChannel,
  { message_id, from, from_name, subject, body, sent_at }: ChannelMessage,
  received_at: Date,
): Promise<Stored> {
  const sender = channel.readSender(from)
  if (sender === null) throw invalidField('from', `has to be ${channel.wanted}`)
  const text = cleanText(body)
  const stripped_text = 'email' in sender ? stripQuoted(text) : text
  const said = normalizeBody(stripped_text)
  const name = from_name === undefined ? null : cleanLine(from_name, 200) || null
  return {
    source: channel.name,
    contact: { ...sender, name },
    message: {
      channel: channel.name,
      provider_message_id: message_id,
      from_email: 'email' in sender ? sender.email_norm : null,
      from_name: name ?? shownName(sender),
      subject: cleanLine(subject ?? '', 998),
      text,
      stripped_text,
      body_hash: said === '' ? null : await sha256Hex(said),
      // Postgres takes fewer offsets than ISO 8601 has.
      sent_at: sent_at === undefined ? null : new Date(sent_at).toISOString(),
      received_at: received_at.toISOString(),
    },
    // A channel has no threads but the person.
    thread_by: 'contact',
  }
}

function shownName(sender: Sender): string | null {
  return 'email' in sender ? null : sender.handle
}

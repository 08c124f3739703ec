import { AppError } from '#kernel/errors'
import { actingAs, type Ctx } from '#platform/context'
import { accept, type Intake } from '#platform/intake'
import type { PostedLead } from '../schema'
import { leadIdOf, prepareInquiry } from './inquiry'
import { countUnproven, type SiteToken, siteTokenRefused, unjudged } from './site-token'
import { storeInbound, toPayload } from './store-inbound'

export interface AcceptedLead {
  leadId: string
  timestamp: string
  status: 'received' | 'queued'
}

/**
 * A lead from a site's backend. One database round trip, in which the token is judged too; kept with the same id where the
 * database does not answer. `key` is the Idempotency-Key, before the body's `request_id`.
 */
export async function receiveLead(
  caller: Ctx,
  { org_id, id, hash, proven }: SiteToken,
  { request_id, source, ...inquiry }: PostedLead,
  key: string | undefined,
): Promise<{ lead: AcceptedLead; replayed: boolean }> {
  const ctx = actingAs(caller, { type: 'system', name: `site-token:${id}` })
  if (!proven) await countUnproven(ctx)
  const received_at = ctx.clock.now()
  const arrival = { door: 'api', source, key: key ?? request_id, received_at } as const
  const input = { ...(await prepareInquiry(inquiry, arrival)), site_token: { id, hash } }
  const toKeep = async (): Promise<Intake> => {
    // Only the database knows it, and nobody fills the buffer with what it would refuse.
    if (!proven) throw unjudged()
    return {
      kind: 'inbound',
      destination: { org_id },
      id: await leadIdOf(org_id, input.lead_key),
      received_at,
      request_hash: input.request_hash,
      payload: toPayload(ctx, input),
    }
  }
  const accepted = await accept(
    ctx,
    (limited) => storeInbound(limited, limited.db.org({ org_id, visibility: 'all' }), input),
    toKeep,
  )
  const timestamp = received_at.toISOString()
  if (accepted.outcome === 'key_reused') throw keyReused()
  if (accepted.outcome === 'queued')
    return {
      lead: { leadId: await leadIdOf(org_id, input.lead_key), timestamp, status: 'queued' },
      replayed: false,
    }
  const { value } = accepted
  switch (value.outcome) {
    case 'created':
      return { lead: { leadId: value.lead_id ?? '', timestamp, status: 'received' }, replayed: false }
    case 'duplicate':
      return { lead: first(value.lead_id, value.received_at ?? timestamp), replayed: true }
    case 'key_reused':
      throw keyReused()
    case 'unauthenticated':
    case 'unknown_organization':
      throw siteTokenRefused()
    case 'own_send':
    case 'ignored':
    case 'origin_refused':
    case 'rate_limited':
      throw new TypeError(`A posted lead is not ${value.outcome}`)
  }
}

/** As it was answered the first time. */
function first(leadId = '', received_at: string): AcceptedLead {
  return { leadId, timestamp: new Date(received_at).toISOString(), status: 'received' }
}

function keyReused(): AppError {
  return new AppError('unprocessable', 'This key came with another body before.')
}

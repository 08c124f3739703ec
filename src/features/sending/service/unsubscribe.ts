import { notFound } from '#kernel/errors'
import { actingAs, type Ctx } from '#platform/context'
import { derivedUuid, sha256Hex } from '#platform/crypto'
import { accept } from '#platform/intake'
import { findRecipientOf } from '../repo/suppressions'
import { readUnsubscribeToken, type UnsubscribeLink } from './link-unsubscribe'
import { storeUnsubscribes, unsubscribeIntake } from './store-unsubscribes'

/** Whether the page may be shown. Asks the database only about a link that does not prove itself. */
export async function readLink(ctx: Ctx, token: string): Promise<UnsubscribeLink> {
  const link = await readUnsubscribeToken(ctx, token)
  if (link === null) throw unknownLink()
  const { org_id, send_id, proven } = link
  if (proven) return link
  const [[found]] = await ctx.db.org({ org_id, visibility: 'all' }).batch([findRecipientOf(org_id, send_id)])
  if (!found) throw unknownLink()
  return link
}

/**
 * Once and for all, however often it is asked for. While the database is down the wish is kept; one by a link that proves
 * nothing is not, because anybody could fill the buffer with those: then it is `unavailable`.
 */
export async function unsubscribe(ctx: Ctx, token: string): Promise<'done' | 'queued'> {
  const link = await readUnsubscribeToken(ctx, token)
  if (link === null) throw unknownLink()
  const { org_id, send_id, proven } = link
  const received_at = ctx.clock.now()
  const store = async (given: Ctx) => {
    const by = actingAs(given, { type: 'system', name: 'unsubscribe' })
    const [known] = await storeUnsubscribes(by, org_id, [{ send_id, at: received_at }])
    if (!known) throw unknownLink()
  }
  if (!proven) {
    await store(ctx)
    return 'done'
  }
  const { outcome } = await accept(ctx, store, async () => ({
    kind: unsubscribeIntake.kind,
    destination: { org_id },
    id: await derivedUuid(`unsubscribe:${send_id}`),
    received_at,
    request_hash: await sha256Hex(`unsubscribe:${send_id}`),
    payload: { send_id },
  }))
  return outcome === 'stored' ? 'done' : 'queued'
}

function unknownLink() {
  return notFound('The mail that this link came with')
}

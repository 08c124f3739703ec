import { hashAddress } from '#features/organizations'
import { fail, type Result, succeed } from '#kernel/failure'
import type { Ctx } from '#platform/context'
import { SealedWithAnotherKey } from '#platform/crypto'
import { countHashed } from '../repo/read'

/**
 * By what an erased address is still suppressed; `null`: nobody was erased in this organization. Without the key nobody knows
 * who must not be written to, so the mail waits until it is back.
 */
export async function hashRecipient(
  ctx: Ctx,
  send: { org_id: string; to_email: string; erasure_key_sealed: string | null },
): Promise<Result<string | null>> {
  const { org_id, to_email: email_norm, erasure_key_sealed } = send
  if (erasure_key_sealed === null) return succeed(null)
  try {
    return succeed(await hashAddress(ctx, { org_id, erasure_key_sealed, email_norm }))
  } catch (error) {
    if (!(error instanceof SealedWithAnotherKey)) throw error
    ctx.log.error('send.suppressions_unreadable', error, { org_id })
    return fail('transient', 'suppressions_unreadable', 'The key of erased addresses cannot be opened.')
  }
}

/** Whether an address was suppressed when it was erased. For what a person decides; the gate asks by itself. */
export async function isErasedSuppressed(
  ctx: Ctx,
  send: { org_id: string; to_email: string; erasure_key_sealed: string | null },
): Promise<boolean> {
  const hash = await hashRecipient(ctx, send)
  if (!hash.ok || hash.value === null) return false
  const [[found]] = await ctx.db
    .org({ org_id: send.org_id, visibility: 'all' })
    .batch([countHashed(hash.value)])
  return (found?.count ?? 0) > 0
}

// Erased addresses stay suppressed by a hash under a key of the organization's own: a copy of the database names nobody.
import type { Ctx } from '#platform/context'
import { hmacSha256, randomToken, toHex } from '#platform/crypto'
import * as repo from '../repo'

/** The organization's key as it is stored. Made at the first call and the same ever after, whoever else calls at that moment. */
export async function ensureErasureKey(ctx: Ctx, org_id: string): Promise<string> {
  const fresh = await ctx.seal(randomToken(), contextOf(org_id))
  const [, [row]] = await ctx.db
    .org({ org_id, visibility: 'all' })
    .batch([repo.insertErasureKey(org_id, fresh), repo.findErasureKey(org_id)])
  return row?.erasure_key_sealed ?? fresh
}

/** Throws `SealedWithAnotherKey` while the key that it is sealed with is not configured: another one would find nobody. */
export async function hashAddress(
  ctx: Ctx,
  input: { org_id: string; erasure_key_sealed: string; email_norm: string },
): Promise<string> {
  const key = await ctx.open(input.erasure_key_sealed, contextOf(input.org_id))
  return toHex(await hmacSha256(key, input.email_norm))
}

export function contextOf(org_id: string): string {
  return `organization:${org_id}:erasure`
}

import { truncateIp } from '#features/audit'
import { ensureErasureKey, hashAddress } from '#features/organizations'
import { actorId } from '#kernel/actor'
import type { Scope } from '#kernel/actor'
import { AppError, notFound } from '#kernel/errors'
import { contactKinds } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import { SealedWithAnotherKey } from '#platform/crypto'
import * as repo from '../repo/erase'

const ATTEMPTS = 3

/** Everything about one person, for good; what they opted out of stays known by a hash. After the answer nothing more is sent to them. */
export async function eraseContact(ctx: Ctx, scope: Scope, id: string) {
  const { org_id } = scope
  const door = ctx.db.org(scope)
  const now = ctx.clock.now()
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const [[contact]] = await door.batch([repo.findAddress(id)])
    if (!contact) throw notFound('The contact')
    const { email_norm } = contact
    const email_hash = email_norm === null ? null : await hashOf(ctx, org_id, email_norm)
    const [{ rows }] = await door.batch([
      repo.erase({
        contact_id: id,
        email_norm,
        email_hash,
        suppression_id: ctx.newId(),
        kinds: contactKinds,
        now: now.toISOString(),
        audit: {
          id: ctx.newId(),
          actor_type: ctx.actor.type,
          actor_id: actorId(ctx.actor),
          request_id: ctx.origin.request_id,
          ip: truncateIp(ctx.origin.ip),
        },
      }),
    ])
    const result = rows[0]?.result ?? { outcome: 'unknown' as const }
    switch (result.outcome) {
      case 'erased':
        return { id, erased_at: now, suppressed: result.suppressed, removed: result.removed }
      case 'unknown':
        throw notFound('The contact')
      case 'in_flight':
        throw new AppError('conflict', 'A mail to this person is just being sent. Please try again.', {
          retry_after_seconds: 30,
        })
      case 'changed':
    }
  }
  throw new AppError('conflict', 'The contact is being changed. Please try again.', {
    retry_after_seconds: 5,
  })
}

async function hashOf(ctx: Ctx, org_id: string, email_norm: string): Promise<string> {
  const erasure_key_sealed = await ensureErasureKey(ctx, org_id)
  try {
    return await hashAddress(ctx, { org_id, erasure_key_sealed, email_norm })
  } catch (error) {
    if (!(error instanceof SealedWithAnotherKey)) throw error
    // A new key would forget whoever is suppressed by the old one.
    throw new AppError(
      'not_configured',
      'The key by which erased addresses stay suppressed cannot be opened with this ENCRYPTION_KEY.',
      { settings: ['ENCRYPTION_KEY'] },
    )
  }
}

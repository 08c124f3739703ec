import * as z from 'zod'
import { AppError } from '#kernel/errors'
import { fail } from '#kernel/failure'
import type { IntakeKind } from '#kernel/intake'
import type { Job } from '#kernel/job'
import type { Ctx } from '#platform/context'
import { SealedWithAnotherKey } from '#platform/crypto'
import { sealContext } from '#platform/ingest-buffer'
import { BUFFER_JOB, putIntoBuffer, refusalOf } from '#platform/intake'

const sealedItem = z.object({
  id: z.uuid(),
  kind: z.string().max(50),
  destination: z.union([
    z.strictObject({ org_id: z.uuid() }),
    z.strictObject({ slug: z.string().max(100) }),
    z.strictObject({ send_id: z.string().max(100) }),
  ]),
  received_at: z.iso.datetime(),
  request_hash: z.string().max(200),
  sealed: z.string(),
  refused: z.object({ code: z.string(), where: z.string().nullable() }).optional(),
})
type Item = z.infer<typeof sealedItem>

/**
 * What came in while the buffer could not be reached: into the buffer now, or straight into the database. Its message is the
 * only copy, and so carries the item itself, sealed.
 */
export function bufferIntakeJob(kinds: readonly IntakeKind<Ctx>[]): Job<Item, Ctx> {
  return {
    name: BUFFER_JOB,
    queue: 'ingest',
    payload: sealedItem,
    run: async (ctx, { refused, ...item }) => {
      // It was counted, or could not be, when it came in.
      const answer = await putIntoBuffer(ctx, { ...item, ...(refused ? { refused } : {}) }, [])
      switch (answer?.outcome) {
        case 'kept':
        case 'known':
          return undefined
        case 'key_reused':
          return fail('permanent', 'key_reused', 'Another body is kept under this key.')
        case 'rate_limited':
        case 'full':
        case 'oversized':
        case undefined:
          return storeAtOnce(ctx, kinds, item)
      }
    },
  }
}

async function storeAtOnce(ctx: Ctx, kinds: readonly IntakeKind<Ctx>[], item: Item) {
  const kind = kinds.find((candidate) => candidate.kind === item.kind)
  if (!kind) return fail('permanent', 'unknown_kind', 'No part of the product takes this kind of item.')
  try {
    const payload = JSON.parse(await ctx.open(item.sealed, sealContext(item.id))) as Record<string, unknown>
    const [result] = await kind.store(ctx, item.destination, [
      { id: item.id, received_at: new Date(item.received_at), payload },
    ])
    switch (result?.outcome) {
      case 'stored':
      case 'known':
        return undefined
      case 'refused':
        return fail('permanent', result.code, 'The database refuses what it says.')
      case 'later':
      case undefined:
        return nowhere()
    }
  } catch (error) {
    if (error instanceof SealedWithAnotherKey)
      return fail('permanent', 'sealed_with_another_key', 'No key that is configured opens it.')
    const refusal = refusalOf(error)
    if (refusal) return fail('permanent', refusal.code, 'The database refuses what it says.')
    if (!(error instanceof AppError)) ctx.log.error('intake.job', error, { id: item.id })
    else if (error.code !== 'unavailable')
      return fail('permanent', error.code, 'It cannot be stored as it is.')
    return nowhere()
  }
}

/** Throttled, in the table's words: an outage says nothing about the item, and the message is its only copy. */
function nowhere() {
  return fail('rate_limited', 'kept_nowhere', 'Neither the buffer nor the database can be reached.')
}

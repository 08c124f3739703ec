import { recordAudit } from '#features/audit'
import { hashAddress } from '#features/organizations'
import type { Scope } from '#kernel/actor'
import { notFound } from '#kernel/errors'
import type { Ctx, Door } from '#platform/context'
import { SealedWithAnotherKey } from '#platform/crypto'
import { findHashed, isLostRace, mustExist } from '../repo/contacts'
import * as repo from '../repo/export'

/**
 * One JSON document with all that is kept about one person, as it was at one moment. It is written while it is read, a few rows
 * at a time and no faster than the caller takes it, so ten thousand messages need no more memory than ten. A document that
 * breaks off has no end: it cannot be mistaken for a whole one.
 */
export async function exportContact(ctx: Ctx, scope: Scope, id: string): Promise<ReadableStream<Uint8Array>> {
  const { org_id } = scope
  const door = ctx.db.org(scope)
  // On the record before the first byte leaves: what was read in part was read.
  const [, , [contact]] = await door
    .batch([
      mustExist(id),
      recordAudit(ctx, { org_id, action: 'contact.exported', entity: 'contact', entity_id: id }),
      findHashed(id),
    ])
    .catch((error: unknown) => {
      throw isLostRace(error) ? notFound('The contact') : error
    })
  const email_hash = await hashOf(ctx, org_id, contact)
  const exported_at = ctx.clock.now().toISOString()
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const writer = writable.getWriter()
  const opened = Promise.withResolvers<void>()
  writeDocument(door, { org_id, contact_id: id, email_hash }, exported_at, writer, opened.resolve)
    .then(
      () => writer.close(),
      (error: unknown) => {
        // The first before an answer was given, the others after.
        opened.reject(error)
        ctx.log.error('contact.export', error, { contact_id: id })
        return writer.abort(error)
      },
    )
    .catch((error: unknown) => ctx.log.error('contact.export_end', error, { contact_id: id }))
  await opened.promise
  return readable
}

async function writeDocument(
  door: Door,
  input: Parameters<typeof repo.openExport>[0],
  exported_at: string,
  writer: WritableStreamDefaultWriter<Uint8Array>,
  opened: () => void,
): Promise<void> {
  const encoder = new TextEncoder()
  await door.transaction(async (run) => {
    await run(repo.inUtc())
    await run(repo.openExport(input))
    let text = `{"exported_at":${JSON.stringify(exported_at)}`
    let place = -1
    for (let first = true; ; first = false) {
      const { rows } = await run(repo.fetchExport())
      if (first) {
        // It went between the two looks.
        if (rows[0]?.section !== 'contact') throw notFound('The contact')
        opened()
      }
      if (rows.length === 0) break
      for (const { section, row } of rows) {
        const next = repo.sections.indexOf(section)
        const separator = next === place ? ',' : begin(place, next)
        text += separator + JSON.stringify(row)
        place = next
      }
      await writer.write(encoder.encode(text))
      text = ''
    }
    await writer.write(encoder.encode(`${begin(place, repo.sections.length)}}`))
  })
}

/** Ends the section at `place` and begins the one at `next`, with the empty ones in between. The contact itself is no list. */
function begin(place: number, next: number): string {
  let text = place > 0 ? ']' : ''
  for (let i = place + 1; i < next; i++) text += `,${JSON.stringify(repo.sections[i])}:[]`
  const name = repo.sections[next]
  if (name !== undefined) text += `,${JSON.stringify(name)}:${next === 0 ? '' : '['}`
  return text
}

async function hashOf(
  ctx: Ctx,
  org_id: string,
  contact: { email_norm: string | null; erasure_key_sealed: string | null } | undefined,
): Promise<string | null> {
  const { email_norm = null, erasure_key_sealed = null } = contact ?? {}
  if (email_norm === null || erasure_key_sealed === null) return null
  return hashAddress(ctx, { org_id, erasure_key_sealed, email_norm }).catch((error: unknown) => {
    if (error instanceof SealedWithAnotherKey) return null
    throw error
  })
}

// The typed port to the Directory object: what has to be known about organizations while the database is down.
import type { Ctx } from './context'
import { soon } from './ingest-buffer'

export interface DirectoryEntry {
  slug: string
  org_id: string
  /** Origins that may post the public form; none: any. */
  allowed_origins: string[]
  redirect_url: string | null
  /** The version: an older one never replaces a newer one. */
  updated_at: Date
}

export interface DirectoryPort {
  find(slug: string): Promise<DirectoryEntry | null>
  /** One organization has one slug: its former one is forgotten. `at` marks them as seen. */
  keep(entries: DirectoryEntry[], at: Date): Promise<void>
  /** All organizations have been kept: those that were not seen since are gone. */
  completed(at: Date, unseen_since: Date): Promise<void>
  /** When all organizations were last kept. */
  completedAt(): Promise<Date | null>
  noteBuffer(name: string, busy: boolean): Promise<void>
  /** Buffers that hold anything, waiting or dead. */
  busyBuffers(): Promise<string[]>
}

const NAME = 'directory'
/** It is asked on the way of a request that has no database to wait for either. */
const ANSWER_WITHIN_MS = 2000

export function openDirectory(namespace: DurableObjectNamespace): DirectoryPort {
  const stub = () => namespace.get(namespace.idFromName(NAME)) as DurableObjectStub & DirectoryPort
  return {
    find: (slug) => soon(stub().find(slug), ANSWER_WITHIN_MS),
    keep: (...args) => soon(stub().keep(...args)),
    completed: (...args) => soon(stub().completed(...args)),
    completedAt: () => soon(stub().completedAt()),
    noteBuffer: (...args) => soon(stub().noteBuffer(...args)),
    busyBuffers: () => soon(stub().busyBuffers()),
  }
}

/** Of an organization that was just made or changed. What is lost here, the sweep makes good. */
export function keepInDirectory(
  ctx: Ctx,
  row: {
    id: string
    slug: string
    form_allowed_origins?: string[] | undefined
    form_redirect_url?: string | null | undefined
    updated_at: Date
  },
): void {
  const kept = ctx.directory.keep([toEntry(row)], ctx.clock.now())
  ctx.waitUntil(kept.catch((error: unknown) => ctx.log.error('directory.keep', error, { org_id: row.id })))
}

export function toEntry(row: Parameters<typeof keepInDirectory>[1]): DirectoryEntry {
  return {
    slug: row.slug,
    org_id: row.id,
    allowed_origins: row.form_allowed_origins ?? [],
    redirect_url: row.form_redirect_url ?? null,
    updated_at: row.updated_at,
  }
}

const CACHED_MS = 30_000
const MAX_CACHED = 1000
const cached = new WeakMap<object, Map<string, { entry: DirectoryEntry | null; until: number }>>()

/** `null`: there is no such form, or nobody can tell just now. */
export async function findInDirectory(ctx: Ctx, slug: string): Promise<DirectoryEntry | null> {
  const now = ctx.clock.now().getTime()
  const known = cached.get(ctx.config) ?? new Map<string, { entry: DirectoryEntry | null; until: number }>()
  cached.set(ctx.config, known)
  const hit = known.get(slug)
  if (hit && hit.until > now) return hit.entry
  try {
    const entry = await ctx.directory.find(slug)
    if (known.size >= MAX_CACHED) known.clear()
    known.set(slug, { entry, until: now + CACHED_MS })
    return entry
  } catch (error) {
    ctx.log.error('directory.find', error)
    return null
  }
}

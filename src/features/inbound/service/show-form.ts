// What a form needs before it can be drawn. It is there also while the database is down: a lead can always be left.
import { requireSettings } from '#platform/config'
import type { Ctx } from '#platform/context'
import { isOpen, probeIfDue, trip } from '#platform/breaker'
import { findInDirectory } from '#platform/directory'
import { flushAll } from '#platform/ingest-flush'
import { AppError } from '#kernel/errors'
import { isSlug } from '#kernel/slug'
import { findForm } from '../repo/form'
import { noSuchForm } from './receive-form'
import { makeRenderToken } from './render-token'

export interface Form {
  slug: string
  /** Unknown while the database is down. */
  name: string | null
  allowed_origins: string[]
  redirect_url: string | null
  render_token: string
  turnstile_site_key: string | null
}

const WITHIN_MS = 2500

/** `cached`: for scripts, which ask at every visit of every page and need little of it; a minute old is new enough. */
export async function showForm(ctx: Ctx, slug: string, { cached = false } = {}): Promise<Form> {
  if (!isSlug(slug)) throw noSuchForm()
  const turnstile_site_key = siteKey(ctx)
  const known = cached ? recall(ctx, slug) : undefined
  const [form, render_token] = await Promise.all([known ?? readForm(ctx, slug), makeRenderToken(ctx)])
  return { slug, ...form, render_token, turnstile_site_key }
}

/** The widget's public half; without it nobody could pass. */
function siteKey(ctx: Ctx): string | null {
  return ctx.config.TURNSTILE_SECRET_KEY === undefined
    ? null
    : requireSettings(ctx.config, 'TURNSTILE_SITE_KEY').TURNSTILE_SITE_KEY
}

type Settings = Pick<Form, 'name' | 'allowed_origins' | 'redirect_url'>

async function readForm(ctx: Ctx, slug: string): Promise<Settings> {
  if (isOpen(ctx)) {
    probeIfDue(ctx, async () => void (await flushAll(ctx)))
    return await remembered(ctx, slug)
  }
  let found: Settings[]
  try {
    ;[found] = await ctx.db.within(WITHIN_MS).bySlug(slug).batch([findForm()])
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'unavailable') throw error
    trip(ctx)
    return await remembered(ctx, slug)
  }
  const [form] = found
  if (!form) throw noSuchForm()
  keep(ctx, slug, form)
  return form
}

const CACHED_MS = 60_000
const MAX_CACHED = 1000
// By configuration: an isolate has one, and each test's world its own.
const caches = new WeakMap<object, Map<string, { form: Settings; until: number }>>()

function recall(ctx: Ctx, slug: string): Settings | undefined {
  const hit = caches.get(ctx.config)?.get(slug)
  return hit && hit.until > ctx.clock.now().getTime() ? hit.form : undefined
}

function keep(ctx: Ctx, slug: string, form: Settings): void {
  const known = caches.get(ctx.config) ?? new Map<string, { form: Settings; until: number }>()
  caches.set(ctx.config, known)
  if (known.size >= MAX_CACHED) known.clear()
  known.set(slug, { form, until: ctx.clock.now().getTime() + CACHED_MS })
}

/** A form that the directory does not know is drawn all the same: what comes in by it is judged when the database is back. */
async function remembered(ctx: Ctx, slug: string): Promise<Settings> {
  const entry = await findInDirectory(ctx, slug)
  return {
    name: null,
    allowed_origins: entry?.allowed_origins ?? [],
    redirect_url: entry?.redirect_url ?? null,
  }
}

// One sync and one renewal, over the account and what the object holds.
import { buryMail, ingestMail } from '#features/inbound'
import { findProvider, mailboxPolicy, mailboxReports, type SyncDeps, syncChanges } from '#features/mailboxes'
import { fail, type Result, succeed } from '#kernel/failure'
import type { MailboxProviderName } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import type { SyncReport } from '#platform/mailboxes'
import type { Account, AccountDeps } from './account'
import { type Held, isConnected, refOf } from './held'

/** The mailbox was disconnected or connected anew while a sync ran: what it knows belongs to nobody any more. */
class Replaced extends Error {}

export async function syncOnce(ctx: Ctx, account: Account, deps: AccountDeps): Promise<Result<SyncReport>> {
  const held = deps.held()
  if (!isConnected(held))
    return fail('auth', held.lost ?? 'not_connected', 'The mailbox has to be connected.')
  if (held.cursor === '') {
    const current = await account.call(ctx, (provider, api) => provider.currentCursor(api))
    if (!current.ok) return backOff(ctx, held, deps, current)
    held.cursor = current.value
    await deps.persist()
  }
  const last_good = held.last_synced_at === null ? null : new Date(held.last_synced_at)
  let result: Result<SyncReport>
  try {
    result = await syncChanges(toSyncDeps(ctx, held, account, deps), {
      cursor: held.cursor,
      recovery: held.recovery,
      last_good,
    })
  } catch (error) {
    if (error instanceof Replaced)
      return fail('auth', 'not_connected', 'The mailbox was disconnected meanwhile.')
    ctx.log.error('mailbox.sync_failed', error, { mailbox_id: held.mailbox_id })
    result = fail('transient', 'sync_failed', 'The sync could not be finished.')
  }
  if (deps.held() !== held) return result
  if (!result.ok) return backOff(ctx, held, deps, result)
  held.last_synced_at = ctx.clock.now().toISOString()
  held.sync_after = null
  held.sync_failures = 0
  await deps.persist()
  return result
}

async function backOff<T>(
  ctx: Ctx,
  held: Held,
  deps: AccountDeps,
  result: { ok: false } & Result<T>,
): Promise<{ ok: false } & Result<T>> {
  if (deps.held() !== held || !isConnected(held)) return result
  held.sync_failures++
  held.sync_after = new Date(
    ctx.clock.now().getTime() + mailboxPolicy.cooldownMs(result.failure, held.sync_failures),
  ).toISOString()
  await deps.persist()
  // The database may be what failed: then nobody can be told, and the next sync will.
  await mailboxReports
    .recordError(ctx, refOf(held), result.failure)
    .catch((error: unknown) => ctx.log.error('mailbox.report_failed', error, { mailbox_id: held.mailbox_id }))
  return result
}

function toSyncDeps(ctx: Ctx, held: Held, account: Account, deps: AccountDeps): SyncDeps {
  const ref = refOf(held)
  let own_addresses: string[] = []
  const still = () => {
    if (deps.held() !== held) throw new Replaced()
  }
  return {
    now: () => ctx.clock.now(),
    changesSince: (cursor) => account.call(ctx, (provider, api) => provider.changesSince(api, cursor)),
    currentCursor: () => account.call(ctx, (provider, api) => provider.currentCursor(api)),
    searchSince: (since, page) =>
      account.call(ctx, (provider, api) => provider.searchSince(api, since, page)),
    fetchRaw: (id) => account.call(ctx, (provider, api) => provider.fetchRaw(api, id)),
    known: async (ids) => {
      const { known, own_addresses: own } = await mailboxReports.listKnownMessages(ctx, ref, ids)
      own_addresses = own
      return known
    },
    ingest: (message, raw) => {
      still()
      return ingestMail(ctx, {
        org_id: held.org_id,
        mailbox: { id: held.mailbox_id, email: held.email, provider: held.provider as MailboxProviderName },
        own_addresses,
        provider_message_id: message.id,
        provider_thread_id: raw.thread_id,
        sent: raw.sent,
        received_at: raw.received_at,
        raw: raw.raw,
      })
    },
    bury: (message) => buryMail(ctx, { ...ref, provider_message_id: message.id }, 'unfetchable'),
    save: async ({ cursor, recovery }) => {
      still()
      held.cursor = cursor
      held.recovery = recovery
      await deps.persist()
    },
    openGap: (lost_cursor, new_cursor, since) =>
      mailboxReports.openGap(ctx, ref, { lost_cursor, new_cursor, since }),
    closeGap: (gap_id, recovered) => mailboxReports.closeGap(ctx, ref, gap_id, recovered),
  }
}

/** Starts or renews the watch. Without push the mailbox is polled, so a watch that fails loses nothing but time. */
export async function renewOnce(ctx: Ctx, account: Account, deps: AccountDeps): Promise<Result<null>> {
  const held = deps.held()
  const provider = findProvider(held.provider)
  const now = ctx.clock.now()
  if (!provider || !isConnected(held) || !provider.canPush(ctx.config)) return succeed(null)
  if (held.renew_after !== null && Date.parse(held.renew_after) > now.getTime()) return succeed(null)
  const watched = await account.call(ctx, (_, api) => provider.watch(api))
  if (deps.held() !== held) return succeed(null)
  if (watched.ok) {
    Object.assign(held, {
      push: 'on',
      watch_expires_at: watched.value.expires_at,
      renew_failures: 0,
      renew_after: null,
    })
    if (held.cursor === '') held.cursor = watched.value.cursor
  } else {
    held.renew_failures++
    held.renew_after = new Date(
      now.getTime() + mailboxPolicy.renewalBackoffMs(held.renew_failures),
    ).toISOString()
    if (held.watch_expires_at === null || Date.parse(held.watch_expires_at) <= now.getTime())
      held.push = 'off'
    if (isConnected(held)) await mailboxReports.recordError(ctx, refOf(held), watched.failure)
  }
  await deps.persist()
  return watched.ok ? succeed(null) : watched
}

// One object per connected mailbox. It holds the tokens (sealed), the cursor and the only hand that touches the account.
// What it decides is decided in #features/mailboxes; what it knows is copied to Postgres for people to see.
import { createDurable } from 'itty-durable'
import { findProvider, mailboxPolicy, mailboxReports } from '#features/mailboxes'
import { loadOutgoing } from '#features/sending'
import { fail, type Result, succeed } from '#kernel/failure'
import { type Ctx, createContext } from '#platform/context'
import type { CreatedDraft, MailboxPort, MailboxState, SentMessage, SyncReport } from '#platform/mailboxes'
import { createAccount } from './mailbox/account'
import { type Held, isConnected, nothing, refOf } from './mailbox/held'
import { renewOnce, syncOnce } from './mailbox/sync'

// After a crash, or when our own database was away: soon, and without a storm.
const ALARM_AFTER_CRASH_MS = 15_000

function addTo(total: SyncReport, one: SyncReport): void {
  for (const key of ['ingested', 'known', 'dead'] as const) total[key] += one[key]
  total.recovered_gap ||= one.recovered_gap
}

export class Mailbox extends createDurable({ autoPersist: false }) implements MailboxPort {
  declare state: DurableObjectState & { env: Env }
  held: Held = { ...nothing }
  // Private fields are never persisted: promises, and what may be lost.
  readonly #deps = { held: () => this.held, persist: () => this.persist() }
  readonly #account = createAccount(this.#deps)
  #syncing: Promise<Result<SyncReport>> | null = null
  #again = false
  #poked = false
  #pushed_at: Date | null = null

  async connect(
    org_id: string,
    mailbox_id: string,
    provider: string,
    email: string,
    sealed_tokens: string,
  ): Promise<Result<SyncReport>> {
    // A reconnect goes on from the old cursor: what arrived meanwhile is not lost.
    const { cursor, recovery, last_synced_at } = this.held
    this.#account.forget()
    this.held = {
      ...nothing,
      org_id,
      mailbox_id,
      provider,
      email,
      sealed_tokens,
      cursor,
      recovery,
      last_synced_at,
      fresh: true,
    }
    await this.persist()
    await this.setAlarm(Date.now() + ALARM_AFTER_CRASH_MS)
    const ctx = this.#context()
    const watched = await renewOnce(ctx, this.#account, this.#deps)
    // What the first sync takes in is answered while it still runs, and only from a connected mailbox.
    if (watched.ok && isConnected(this.held)) await this.#report(ctx, false)
    return this.#sync(ctx)
  }

  /** Fifty pushes at once are one alarm. */
  async poke(): Promise<Result<null>> {
    if (!isConnected(this.held)) return succeed(null)
    this.#poked = true
    this.#pushed_at = new Date()
    await this.#wakeLater()
    return succeed(null)
  }

  async sync(as_of: string): Promise<Result<SyncReport>> {
    return this.#sync(this.#context(as_of))
  }

  async renewWatch(as_of: string): Promise<Result<{ watch_expires_at: string | null }>> {
    const ctx = this.#context(as_of)
    const renewed = await renewOnce(ctx, this.#account, this.#deps)
    if (!renewed.ok) return renewed
    if (isConnected(this.held)) await this.#report(ctx, false)
    return succeed({ watch_expires_at: this.held.watch_expires_at })
  }

  async createDraft(send_id: string): Promise<Result<CreatedDraft>> {
    const ctx = this.#context()
    const outgoing = await loadOutgoing(ctx, this.held.org_id, send_id)
    if (!outgoing) return fail('permanent', 'send_not_claimed', 'The send is not claimed any more.')
    const { raw, provider_thread_id: thread_id, automatic } = outgoing
    // What a person has just sent from another program may not have reached us yet.
    if (automatic && thread_id !== null) {
      const answered = await this.#account.call(ctx, (provider, api) => provider.isAnswered(api, thread_id))
      if (!answered.ok) return answered
      if (answered.value)
        return fail('permanent', 'answered_by_a_person', 'Somebody has answered in this thread.')
    }
    const created = await this.#account.call(ctx, (provider, api) =>
      provider.createDraft(api, { raw, thread_id }),
    )
    if (!created.ok) return created
    return succeed({ provider_draft_id: created.value.draft_id, provider_thread_id: created.value.thread_id })
  }

  async sendDraft(provider_draft_id: string): Promise<Result<SentMessage>> {
    return this.#account.call(this.#context(), (provider, api) => provider.sendDraft(api, provider_draft_id))
  }

  async deleteDraft(provider_draft_id: string): Promise<Result<null>> {
    return this.#account.call(this.#context(), (provider, api) =>
      provider.deleteDraft(api, provider_draft_id),
    )
  }

  async findSent(
    send_id: string,
    provider_draft_id: string,
  ): Promise<Result<{ outcome: 'sent' | 'not_sent' | 'inconclusive'; message?: SentMessage }>> {
    const ctx = this.#context()
    const draft = await this.#account.call(ctx, (provider, api) =>
      provider.draftExists(api, provider_draft_id),
    )
    if (!draft.ok) return draft
    if (draft.value) return succeed({ outcome: 'not_sent' })
    const outgoing = await loadOutgoing(ctx, this.held.org_id, send_id)
    if (!outgoing) return succeed({ outcome: 'inconclusive' })
    const found = await this.#account.call(ctx, (provider, api) =>
      provider.findSent(api, { message_id: outgoing.message_id, thread_id: outgoing.provider_thread_id }),
    )
    if (!found.ok) return found
    // Neither a draft nor sent: somebody removed it by hand, or the search lags. A person decides.
    return succeed(
      found.value === null ? { outcome: 'inconclusive' } : { outcome: 'sent', message: found.value },
    )
  }

  async status(): Promise<Result<MailboxState>> {
    const { cursor, watch_expires_at, push, throttled_until } = this.held
    const alarm = await this.state.storage.getAlarm()
    return succeed({
      connected: isConnected(this.held),
      cursor: cursor || null,
      watch_expires_at,
      push,
      cooldown_until: throttled_until,
      alarm_at: alarm === null ? null : new Date(alarm).toISOString(),
    })
  }

  /** Best effort towards the provider, certain towards ourselves: whatever it answers, the tokens are gone. */
  async disconnect(): Promise<Result<null>> {
    const ctx = this.#context()
    const ours = this.held
    const provider = findProvider(ours.provider)
    if (provider && isConnected(ours) && !(await this.#isShared(ctx))) {
      const tokens = await this.#account.readTokens(ctx).catch((error: unknown) => {
        // Sealed with another key: the grant stays with the provider until the person takes it back there.
        ctx.log.error('mailbox.revoke_impossible', error, { mailbox_id: ours.mailbox_id })
        return null
      })
      if (this.held === ours) await this.#account.call(ctx, (_, api) => provider.unwatch(api))
      const revoked = tokens ? await provider.revoke(ctx, tokens.refresh_token) : succeed(null)
      if (!revoked.ok)
        ctx.log.warn('mailbox.revoke_failed', {
          mailbox_id: ours.mailbox_id,
          failure: revoked.failure.code,
        })
    }
    // Connected anew while the provider answered: those tokens are not the ones that were to go.
    if (this.held !== ours) return succeed(null)
    this.#account.forget()
    this.held = { ...nothing }
    this.#poked = false
    await this.state.storage.deleteAlarm()
    await this.state.storage.deleteAll()
    return succeed(null)
  }

  async alarm(): Promise<void> {
    // An alarm comes past `fetch`, which would have loaded the stored state.
    await this.loadFromStorage()
    if (!isConnected(this.held)) return
    const ctx = this.#context()
    try {
      const due = mailboxPolicy.isRenewalDue(this.held.watch_expires_at, ctx.clock.now())
      if (due) await renewOnce(ctx, this.#account, this.#deps)
      await this.#sync(ctx)
    } catch (error) {
      ctx.log.error('mailbox.alarm_failed', error, { mailbox_id: this.held.mailbox_id })
      await this.setAlarm(Date.now() + ALARM_AFTER_CRASH_MS)
    }
  }

  #context(as_of?: string): Ctx {
    return createContext(this.state.env, {
      actor: { type: 'system', name: 'mailbox' },
      waitUntil: (work) => this.state.waitUntil(work),
      ...(as_of === undefined ? {} : { as_of: new Date(as_of) }),
    })
  }

  /** Another organization has connected the same account: a provider ends watch and grant for both. */
  async #isShared(ctx: Ctx): Promise<boolean> {
    const { mailbox_id, provider, email } = this.held
    return mailboxReports.isConnectedElsewhere(ctx, { mailbox_id, provider, email }).catch(() => false)
  }

  async #wakeLater(): Promise<void> {
    const { throttled_until, sync_after } = this.held
    const cooldown_until =
      [throttled_until, sync_after]
        .filter((at) => at !== null)
        .sort()
        .at(-1) ?? null
    await this.setAlarm(
      mailboxPolicy.nextWake({ ...this.held, cooldown_until, poked: this.#poked }, new Date()).getTime(),
    )
  }

  /** One sync at a time; who comes meanwhile shares it and makes it look once more. */
  #sync(ctx: Ctx): Promise<Result<SyncReport>> {
    if (this.#syncing) {
      this.#again = true
      return this.#syncing
    }
    this.#syncing = this.#syncUntilQuiet(ctx).finally(() => {
      this.#syncing = null
    })
    return this.#syncing
  }

  async #syncUntilQuiet(ctx: Ctx): Promise<Result<SyncReport>> {
    const total: SyncReport = { ingested: 0, known: 0, dead: 0, recovered_gap: false }
    try {
      do {
        const ours = this.held
        this.#again = false
        this.#poked = false
        const result = await syncOnce(ctx, this.#account, this.#deps)
        // Connected anew meanwhile: who did so waits for a sync of the new account.
        const isReplaced = this.held !== ours && isConnected(this.held)
        if (isReplaced) this.#again = true
        else if (!result.ok) return result
        if (result.ok) addTo(total, result.value)
      } while (this.#again && isConnected(this.held))
      if (isConnected(this.held)) await this.#report(ctx, total.ingested + total.known > 0)
      return succeed(total)
    } finally {
      if (isConnected(this.held)) await this.#wakeLater()
    }
  }

  /** Tells Postgres, and hears from it what people have done since: a wipe that did not reach the object is made up for. */
  async #report(ctx: Ctx, moved: boolean): Promise<void> {
    const ours = this.held
    const { last_synced_at, push, watch_expires_at } = ours
    const synced_at = last_synced_at === null ? ctx.clock.now() : new Date(last_synced_at)
    const pushed_at = this.#pushed_at
    this.#pushed_at = null
    const status = await mailboxReports.recordSynced(ctx, refOf(ours), {
      synced_at,
      pushed_at,
      cursor_moved_at: moved ? synced_at : null,
      push,
      watch_expires_at: watch_expires_at === null ? null : new Date(watch_expires_at),
      connected: ours.fresh,
    })
    if (this.held !== ours) return
    if (status === 'connected') {
      if (!ours.fresh) return
      ours.fresh = false
      return this.persist()
    }
    if (status === null || status === 'disconnected') {
      ctx.log.warn('mailbox.wiped_late', { mailbox_id: ours.mailbox_id })
      await this.disconnect()
    } else {
      ours.lost = status
      await this.persist()
    }
  }
}

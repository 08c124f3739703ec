// The sync algorithm over its dependencies; the Durable Object only supplies them. Lossless: commit the messages, then advance.
import { fail, type Failure, type Result, succeed } from '#kernel/failure'
import type { SyncReport } from '#platform/mailboxes'
import { gapStart } from '../policy'
import type { ChangedMessage, ChangePage, RawMessage } from '../providers/contract'

export interface Recovery {
  gap_id: string
  new_cursor: string
  since: string
}

export interface SyncDeps {
  now(): Date
  changesSince(cursor: string): Promise<Result<ChangePage>>
  currentCursor(): Promise<Result<string>>
  searchSince(
    since: Date,
    page: string | null,
  ): Promise<Result<{ messages: ChangedMessage[]; next_page: string | null }>>
  fetchRaw(id: string): Promise<Result<RawMessage | null>>
  /** Those that have a row already. */
  known(ids: string[]): Promise<Set<string>>
  /** `dead`: it cannot be read, and a dead letter says so. Throws when the database does not answer. */
  ingest(message: ChangedMessage, raw: RawMessage): Promise<'new' | 'known' | 'dead'>
  /** It will never be had: a dead letter says so, and the mailbox goes on behind it. */
  bury(message: ChangedMessage): Promise<void>
  /** Persists the cursor, or a recovery that was begun, before anything goes on. */
  save(state: { cursor: string; recovery: Recovery | null }): Promise<void>
  /** Tells people that time was lost, and later what the search found. */
  openGap(lost_cursor: string, new_cursor: string, since: Date): Promise<string>
  closeGap(gap_id: string, recovered: number): Promise<void>
}

/** Threads side by side, the messages of one thread in order: the first makes the conversation that the others join. */
const CONCURRENCY = 5
/** Of a recovery: as many as one question to the database is about. */
const AT_ONCE = 200
/** A mailbox that keeps changing must not hold its object for ever; what is left comes with the next wake. */
const MAX_PAGES = 50

export async function syncChanges(
  deps: SyncDeps,
  state: { cursor: string; recovery: Recovery | null; last_good: Date | null },
): Promise<Result<SyncReport>> {
  const report: SyncReport = { ingested: 0, known: 0, dead: 0, recovered_gap: false }
  let cursor = state.cursor
  if (state.recovery) {
    const recovered = await recover(deps, state.recovery, report)
    if (!recovered.ok) return recovered
    cursor = recovered.value
  }
  for (let page = 0; page < MAX_PAGES; page++) {
    const changes = await deps.changesSince(cursor)
    if (!changes.ok) {
      if (changes.failure.code !== 'cursor_expired') return changes
      // A cursor that was pinned a moment ago and has expired again would go round for ever.
      if (report.recovered_gap)
        return fail('transient', 'cursor_expired_again', 'The provider keeps forgetting its history.')
      const begun = await beginRecovery(deps, cursor, state.last_good)
      if (!begun.ok) return begun
      const recovered = await recover(deps, begun.value, report)
      if (!recovered.ok) return recovered
      cursor = recovered.value
      continue
    }
    const failure = await takeIn(deps, changes.value.messages, report)
    if (failure) return { ok: false, failure }
    if (changes.value.cursor !== cursor) {
      cursor = changes.value.cursor
      await deps.save({ cursor, recovery: null })
    }
    if (!changes.value.more) break
  }
  return succeed(report)
}

/** The new cursor is pinned before the search, so that what arrives during the search is not missed. */
async function beginRecovery(
  deps: SyncDeps,
  lost_cursor: string,
  last_good: Date | null,
): Promise<Result<Recovery>> {
  const pinned = await deps.currentCursor()
  if (!pinned.ok) return pinned
  const since = gapStart(last_good, deps.now())
  const gap_id = await deps.openGap(lost_cursor, pinned.value, since)
  const recovery = { gap_id, new_cursor: pinned.value, since: since.toISOString() }
  await deps.save({ cursor: lost_cursor, recovery })
  return succeed(recovery)
}

async function recover(deps: SyncDeps, recovery: Recovery, report: SyncReport): Promise<Result<string>> {
  const before = report.ingested
  const all: ChangedMessage[] = []
  let page: string | null = null
  do {
    const found: Result<{ messages: ChangedMessage[]; next_page: string | null }> = await deps.searchSince(
      new Date(recovery.since),
      page,
    )
    if (!found.ok) return found
    all.push(...found.value.messages)
    page = found.value.next_page
  } while (page !== null)
  // Searches answer newest first; conversations want the oldest first.
  all.reverse()
  for (let from = 0; from < all.length; from += AT_ONCE) {
    const failure = await takeIn(deps, all.slice(from, from + AT_ONCE), report)
    if (failure) return { ok: false, failure }
  }
  await deps.closeGap(recovery.gap_id, report.ingested - before)
  await deps.save({ cursor: recovery.new_cursor, recovery: null })
  report.recovered_gap = true
  return succeed(recovery.new_cursor)
}

async function takeIn(
  deps: SyncDeps,
  messages: ChangedMessage[],
  report: SyncReport,
): Promise<Failure | null> {
  if (messages.length === 0) return null
  const known = await deps.known(messages.map((message) => message.id))
  report.known += known.size
  const threads = new Map<string, ChangedMessage[]>()
  for (const message of messages) {
    if (!known.has(message.id))
      threads.set(message.thread_id, [...(threads.get(message.thread_id) ?? []), message])
  }
  const waiting = [...threads.values()]
  let failure: Failure | null = null
  const worker = async () => {
    for (let thread = waiting.shift(); thread && !failure; thread = waiting.shift()) {
      for (const message of thread) {
        const raw = await deps.fetchRaw(message.id)
        if (!raw.ok && raw.failure.code === 'unfetchable') {
          await deps.bury(message)
          report.dead++
          continue
        }
        if (!raw.ok) {
          failure = raw.failure
          return
        }
        if (raw.value === null || !raw.value.relevant) continue
        const outcome = await deps.ingest(message, raw.value)
        if (outcome === 'new') report.ingested++
        else if (outcome === 'known') report.known++
        else report.dead++
      }
    }
  }
  // A throw ends the sync only once all have stopped: nothing of it may go on beside the next one.
  const thrown: unknown[] = []
  const stop = (error: unknown) => {
    thrown.push(error)
    waiting.length = 0
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, () => worker().catch(stop)))
  if (thrown.length > 0) throw thrown[0]
  return failure
}

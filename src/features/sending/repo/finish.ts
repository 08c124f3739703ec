// What became of a send. Every statement is guarded by state and claim token: a run that lost its claim changes nothing.
import { type SQL, sql } from 'drizzle-orm'
import { raw } from '#db/client'
import type { SendError } from '#db/schema/sending'
import type { SendState } from '#kernel/vocabulary'
import type { SentMessage } from '#platform/mailboxes'
import { iso, type Trail, trailOf } from './trail'

export { isLostRace } from '#db/guard'

/** The mail has our own words instead of the organization's. */
export const TEMPLATE_FAILED = 'template_failed'

export interface Guard {
  org_id: string
  send_id: string
  /** `null`: any, for what a person decides. */
  token: string | null
  states: readonly SendState[]
}

function matches(guard: Guard): SQL {
  const token = guard.token === null ? sql`true` : sql`s.claim_token = ${guard.token}`
  return sql`s.org_id = ${guard.org_id} and s.id = ${guard.send_id} and s.state = any(${sql.param(guard.states)}::text[]) and ${token}`
}

export type Finished = { id: string }

/** In the order of `ingest_inbound` and of the gate, conversation before send: goes first in the batch of `markSent`. */
export function lockConversation(input: { org_id: string; conversation_id: string | null }) {
  return raw<{ id: string }>(sql`
    select id from conversations where org_id = ${input.org_id} and id = ${input.conversation_id}::uuid for no key update`)
}

/** The provider has it. Fails the whole batch when the run has lost its claim (see `isLostRace`): the mail is then in no thread. */
export function markSent(guard: Guard, input: { message: SentMessage | null; trail: Trail }) {
  return raw<{ held: number }>(sql`
    with done as (
      update sends s set state = 'sent', sent_at = ${iso(input.trail.at)},
        provider_message_id = ${input.message?.provider_message_id ?? null}::text,
        provider_thread_id = coalesce(${input.message?.provider_thread_id ?? null}::text, s.provider_thread_id),
        claim_token = null, lease_until = null, waits_because = null, updated_at = now(),
        -- That its words are not those that were wanted stays true.
        last_error = case when s.last_error->>'code' = ${TEMPLATE_FAILED} then s.last_error end
      where ${matches(guard)}
      returning s.*),
    ${trailOf(sql`done`, sql`true`, input.trail, { event: 'message.sent', action: 'send.sent' })}
    select 1 / count(*) as held from done`)
}

/** Certain not to have left. An attempt that says nothing about the mail is given back. */
export function markScheduled(
  guard: Guard,
  input: {
    next_attempt_at: Date
    waits_because: string | null
    burns_attempt: boolean
    error: SendError | null
  },
) {
  return raw<Finished>(sql`
    update sends s set state = 'scheduled', next_attempt_at = ${iso(input.next_attempt_at)}, waits_because = ${input.waits_because},
      attempts = greatest(0, s.attempts - ${input.burns_attempt ? 0 : 1}::int),
      last_error = coalesce(${asJson(input.error)}, s.last_error),
      claim_token = null, lease_until = null, updated_at = now()
    where ${matches(guard)} returning s.id`)
}

/** Certain not to have left, and never will. */
export function markFailed(
  guard: Guard,
  input: { error: SendError; suppress_as: { id: string; reason: string } | null; trail: Trail },
) {
  const suppression =
    input.suppress_as === null
      ? sql``
      : sql`suppression as (
          insert into suppressions (org_id, id, kind, value_norm, reason, created_at)
          select d.org_id, ${input.suppress_as.id}::uuid, 'email', d.to_email, ${input.suppress_as.reason}, ${iso(input.trail.at)} from done d
          on conflict (org_id, kind, value_norm) do nothing),`
  return raw<Finished>(sql`
    with done as (
      update sends s set state = 'failed', last_error = ${asJson(input.error)}, waits_because = null,
        claim_token = null, lease_until = null, updated_at = now()
      where ${matches(guard)} returning s.*),
    ${suppression}
    ${trailOf(sql`done`, sql`true`, input.trail, { event: 'send.ended', action: 'send.failed' })}
    select id from done`)
}

/** Nobody knows. It keeps its claim token, so that only the run that asks the provider later may decide. */
export function markUnknown(guard: Guard, input: { error: SendError; reconcile_after_seconds: number }) {
  return raw<Finished>(sql`
    update sends s set state = 'unknown', last_error = ${asJson(input.error)}, lease_until = null, updated_at = now(),
      next_attempt_at = s.send_started_at + ${input.reconcile_after_seconds} * interval '1 second'
    where ${matches(guard)} returning s.id`)
}

/** The provider could not be asked; later again. */
export function postponeReconciliation(guard: Guard, input: { next_attempt_at: Date; error: SendError }) {
  return raw<Finished>(sql`
    update sends s set next_attempt_at = ${iso(input.next_attempt_at)}, last_error = ${asJson(input.error)}, updated_at = now()
    where ${matches(guard)} returning s.id`)
}

/** A person has to look into the mailbox and decide. */
export function markReview(guard: Guard, input: { error: SendError | null; trail: Trail }) {
  return raw<Finished>(sql`
    with done as (
      update sends s set state = 'review', last_error = coalesce(${asJson(input.error)}, s.last_error), waits_because = 'decision_of_a_person',
        claim_token = null, lease_until = null, updated_at = now()
      where ${matches(guard)} returning s.*),
    ${trailOf(sql`done`, sql`true`, input.trail, { event: 'send.ended', action: 'send.held_for_review' })}
    select id from done`)
}

export function markSkipped(guard: Guard, input: { reason: string; trail: Trail }) {
  return raw<Finished>(sql`
    with done as (
      update sends s set state = 'skipped', skip_reason = ${input.reason}, waits_because = null,
        claim_token = null, lease_until = null, updated_at = now()
      where ${matches(guard)} returning s.*),
    ${trailOf(sql`done`, sql`true`, input.trail, { event: 'send.ended', action: 'send.skipped' })}
    select id from done`)
}

/** A person says that it never left: from the beginning, with a new draft, because the old one is gone. */
export function markRetried(guard: Guard, input: { now: Date; trail: Trail }) {
  return raw<Finished>(sql`
    with done as (
      update sends s set state = 'scheduled', attempts = 0, next_attempt_at = ${iso(input.now)}, waits_because = null,
        provider_draft_id = null, send_started_at = null, updated_at = now()
      where ${matches(guard)} returning s.*),
    ${trailOf(sql`done`, sql`true`, input.trail, { event: null, action: 'send.retried' })}
    select id from done`)
}

function asJson(error: SendError | null): SQL {
  return sql`${error === null ? null : JSON.stringify(error)}::jsonb`
}

import { recordAudit } from '#features/audit'
import { suspectInjection } from '#features/inbound'
import { markSpam } from '#features/leads'
import { enqueueDelivery, scheduleReply } from '#features/sending'
import { addSeconds } from '#kernel/clock'
import { normalizeEmail } from '#kernel/email-address'
import type { Ctx } from '#platform/context'
import { kick, recordEvent } from '#platform/outbox'
import { afterGivingUp, decide, type GateResult, repliesOff } from '../policy/gate'
import { lintReply } from '../policy/output-lint'
import { STOCK_PHRASES } from '../policy/reply-text'
import { findSenderText } from '../policy/sender-text'
import { judgeUnwanted } from '../policy/unwanted'
import * as repo from '../repo/drafts'
import { type Written, writeReply } from './write-reply'

/** However often it is called, it asks the AI once: the first round trip takes the lease, the second compares and sets. */
export async function answerDraft(
  ctx: Ctx,
  { org_id, draft_id }: { org_id: string; draft_id: string },
): Promise<void> {
  const [{ rows }] = await ctx.db
    .org({ org_id, visibility: 'all' })
    .batch([repo.claimWithFacts(org_id, draft_id, ctx.clock.now())])
  const facts = rows[0]?.facts
  if (!facts) return
  const { organization, message, draft } = facts
  // Switched off since it was asked for: no text that nobody wants is paid for. A person who regenerates does want one.
  if (organization.reply_mode === 'off' && draft.generation === 1) return closeDraft(ctx, org_id, facts)
  const boundary = `UNTRUSTED-${crypto.randomUUID()}`
  const written = await writeReply(ctx, {
    provider: organization.ai_provider ?? ctx.config.AI_PROVIDER,
    attempts: draft.attempts,
    input: {
      organization,
      channel: message.channel,
      subject: message.subject,
      from_name: message.from_name,
      text: message.stripped_text,
      thread: facts.thread.map(({ direction, text }) => ({
        from: direction === 'inbound' ? 'them' : 'us',
        text,
      })),
      instruction: draft.instruction,
      boundary,
    },
  })
  const { output, unread } = written
  const verdict = unread ? afterGivingUp(output.reason) : judge(ctx, facts, written, boundary)
  await storeDraft(ctx, org_id, facts, written, verdict)
}

function judge(ctx: Ctx, facts: repo.DraftFacts, { output }: Written, boundary: string): GateResult {
  const { organization, message, conversation } = facts
  const names = [organization.name, organization.from_name ?? '']
  const ours = [
    ...facts.own_addresses,
    ...(ctx.config.FROM_EMAIL === undefined ? [] : [ctx.config.FROM_EMAIL]),
  ]
  const email = recipientOf(facts)
  return decide({
    now: ctx.clock.now(),
    reply_mode: organization.reply_mode,
    undo_seconds: organization.undo_seconds,
    mailbox: facts.mailbox,
    message: { ...message, received_at: new Date(message.received_at) },
    recipient: {
      email,
      contact_email: facts.contact_email,
      is_ours: ours.some((own) => normalizeEmail(own) === email),
    },
    counts: facts.counts,
    answer: output,
    unwanted: judgeUnwanted(message.subject, message.stripped_text),
    injection: scan(facts),
    lint: lintReply(output.reply_text, {
      ...organization,
      own_names: names,
      known_emails: ours,
      secrets: [boundary],
    }),
    sender_text: findSenderText(
      output.reply_text,
      { name: message.from_name, subject: message.subject, text: message.text },
      [organization.reply_instructions, ...names, ...STOCK_PHRASES],
    ),
    last_human_activity_at:
      conversation.last_human_activity_at === null ? null : new Date(conversation.last_human_activity_at),
  })
}

/** All that the model was shown, and the quotes and hidden parts that it was not. A scan that fails has found something. */
function scan({ message, thread }: repo.DraftFacts): { suspected: boolean; reasons: readonly string[] } {
  const whole = [message.subject, message.from_name ?? '', message.text].join('\n')
  const earlier = thread.flatMap(({ direction, text }) => (direction === 'inbound' ? [text] : []))
  try {
    const found = [
      suspectInjection(whole, message.hidden_text),
      ...[message.stripped_text, ...earlier].map((text) => suspectInjection(text, '')),
    ]
    const reasons = [...new Set(found.flatMap((verdict) => verdict.reasons))]
    return { suspected: found.some((verdict) => verdict.suspected), reasons }
  } catch {
    return { suspected: true, reasons: ['the scan failed'] }
  }
}

function recipientOf({ message }: repo.DraftFacts): string | null {
  return message.from_email === null ? null : normalizeEmail(message.from_email)
}

async function storeDraft(
  ctx: Ctx,
  org_id: string,
  facts: repo.DraftFacts,
  written: Written,
  { gate, decision }: GateResult,
): Promise<void> {
  const { draft, message, conversation, organization } = facts
  const { output } = written
  const now = ctx.clock.now()
  const due_at = addSeconds(now, organization.undo_seconds)
  const send_id = decision === 'auto_send' ? ctx.newId() : null
  const ready_event = ctx.newId()
  const spam = output.category === 'spam' && draft.lead_id !== null && facts.lead_is_untouched
  const lead_event = ctx.newId()
  const kept = await held(
    ctx.db.org({ org_id, visibility: 'all' }).batch([
      repo.finish(draft.id, draft.generation, {
        status: send_id === null ? 'ready' : 'approved',
        provider: written.provider,
        model: written.model,
        text: output.reply_text,
        generated_text: output.reply_text,
        edited: false,
        category: output.category,
        intent: output.intent,
        confidence: output.confidence,
        needs_human: output.needs_human,
        reason: output.reason,
        price_guidance: output.price_guidance ?? null,
        ai_failure: written.failure,
        gate,
        decision,
        send_id,
        decided_at: send_id === null ? null : now,
        updated_at: now,
      }),
      ...(send_id === null
        ? []
        : [
            scheduleReply(ctx, {
              id: send_id,
              org_id,
              draft_id: draft.id,
              conversation_id: draft.conversation_id,
              lead_id: draft.lead_id,
              message: {
                ...message,
                from_email: recipientOf(facts) ?? '',
                // Whoever fills in a form may give another's address: nothing that they wrote reaches it unseen.
                ...(message.channel === 'form' ? { subject: '', from_name: null } : {}),
              },
              provider_thread_id: conversation.provider_thread_id,
              mailbox_id: conversation.mailbox_id,
              text: output.reply_text,
              automatic: true,
              due_at,
              created_by: null,
              dedupe_key: `reply:${draft.message_id}:${draft.generation}`,
            }),
          ]),
      ...(spam && draft.lead_id !== null
        ? [
            markSpam(ctx, { org_id, lead_id: draft.lead_id }),
            recordAudit(ctx, {
              org_id,
              action: 'lead.marked_spam',
              entity: 'lead',
              entity_id: draft.lead_id,
              fields: ['status'],
            }),
            recordEvent(ctx, {
              id: lead_event,
              org_id,
              type: 'lead.updated',
              payload: { lead_id: draft.lead_id },
            }),
          ]
        : []),
      draftReady(ctx, org_id, ready_event, draft, decision),
      recordAudit(ctx, {
        org_id,
        action: send_id === null ? 'draft.written' : 'draft.approved_automatically',
        entity: 'draft',
        entity_id: draft.id,
        fields: ['status', 'text', 'decision'],
      }),
    ]),
  )
  // Regenerated, decided or out of date by now: what was written for it is no longer wanted.
  if (!kept) return
  kick(ctx, spam ? [ready_event, lead_event] : [ready_event])
  if (send_id !== null) enqueueDelivery(ctx, { org_id, send_id, due_at })
}

async function closeDraft(ctx: Ctx, org_id: string, { draft }: repo.DraftFacts): Promise<void> {
  const now = ctx.clock.now()
  const event_id = ctx.newId()
  const kept = await held(
    ctx.db.org({ org_id, visibility: 'all' }).batch([
      repo.finish(draft.id, draft.generation, {
        status: 'rejected',
        reject_reason: 'replies_off',
        gate: repliesOff.gate,
        decision: repliesOff.decision,
        decided_at: now,
        updated_at: now,
      }),
      draftReady(ctx, org_id, event_id, draft, repliesOff.decision),
      recordAudit(ctx, {
        org_id,
        action: 'draft.closed',
        entity: 'draft',
        entity_id: draft.id,
        fields: ['status'],
      }),
    ]),
  )
  if (kept) kick(ctx, [event_id])
}

function draftReady(
  ctx: Ctx,
  org_id: string,
  id: string,
  draft: repo.DraftFacts['draft'],
  decision: GateResult['decision'],
) {
  return recordEvent(ctx, {
    id,
    org_id,
    type: 'draft.ready',
    payload: {
      draft_id: draft.id,
      conversation_id: draft.conversation_id,
      decision,
      ...(draft.lead_id === null ? {} : { lead_id: draft.lead_id }),
    },
  })
}

/** False when the draft was no longer this run's to write; then nothing of the batch has happened. */
async function held(batch: Promise<unknown>): Promise<boolean> {
  try {
    await batch
    return true
  } catch (error) {
    if (repo.isLostRace(error)) return false
    throw error
  }
}

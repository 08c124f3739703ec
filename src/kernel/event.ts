import type { QueueName } from './job'

/** Facts that other systems may subscribe to. */
const publicEventTypes = [
  'lead.created',
  'lead.updated',
  'lead.assigned',
  'lead.score_changed',
  'message.ingested',
  'message.sent',
  'draft.ready',
  'conversation.updated',
  'task.created',
  'task.completed',
  'contact.updated',
  'campaign.completed',
  'enrollment.replied',
  'sla.warning',
  'sla.breached',
  'mailbox.reconnect_required',
  'destination.disabled',
] as const

/** Facts that only our own subscribers see. */
const internalEventTypes = ['draft.requested', 'send.ended', 'recipient.unsubscribed', 'ingest.dead'] as const

export const eventTypes = [...publicEventTypes, ...internalEventTypes] as const
export type EventType = (typeof eventTypes)[number]

/** A committed fact. `payload` holds ids and enumerated values only. */
export interface DomainEvent {
  id: string
  org_id: string
  type: EventType
  payload: Record<string, string>
  as_of: Date
}

/** One job message that follows from an event; `null` when the event does not concern the subscriber. */
export interface Subscriber {
  event: EventType
  job: string
  queue: QueueName
  payload(event: DomainEvent): Record<string, string> | null
  /** Earliest run, in seconds from now. */
  delay_seconds?(event: DomainEvent): number
}

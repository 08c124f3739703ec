// A site's backend (or a form) that posts leads at a steady pace and does not let go: a broken connection or a 5xx is tried
// again under the same Idempotency-Key until it is answered.
import { setTimeout as delay } from 'node:timers/promises'
import type { Stack } from './stack.ts'

const ATTEMPT_MS = 10_000
const LONGEST_PAUSE_MS = 1000

export type Door = 'api' | 'form'

export interface Attempt {
  lead: number
  begun_at: number
  /** In milliseconds. */
  took: number
  /** 0 where the connection broke. */
  status: number
}

export interface Answered {
  lead: number
  email: string
  first_sent_at: number
  answered_at: number
  status: number
  lead_id: string
}

export class LeadsPoster {
  readonly attempts: Attempt[] = []
  readonly answered: Answered[] = []
  readonly #stack: Stack
  readonly #door: Door
  readonly #name: string
  #posted = 0

  constructor(stack: Stack, door: Door, name: string) {
    this.#stack = stack
    this.#door = door
    this.#name = name
  }

  /** At a steady pace whatever the answers do: an outage does not slow the world down. Resolves when each one is answered. */
  async post(count: number, perSecond: number, onPosted: (posted: number) => void): Promise<void> {
    const begun = Date.now()
    const posting: Promise<void>[] = []
    for (let i = 0; i < count; i++) {
      await delay(Math.max(0, begun + (i * 1000) / perSecond - Date.now()))
      posting.push(this.#insist(this.#posted++))
      onPosted(i + 1)
    }
    await Promise.all(posting)
  }

  emailOf(lead: number): string {
    return `ada.${lead}@${this.#name}-${this.#door}.test`
  }

  async #insist(lead: number): Promise<void> {
    const first_sent_at = Date.now()
    for (let pause = 100; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      const { status, lead_id } = await this.#attempt(lead)
      if (status > 0 && status < 500) {
        const answered_at = Date.now()
        this.answered.push({ lead, email: this.emailOf(lead), first_sent_at, answered_at, status, lead_id })
        return
      }
      await delay(pause)
    }
  }

  async #attempt(lead: number): Promise<{ status: number; lead_id: string }> {
    const begun_at = Date.now()
    const begun = performance.now()
    const note = (status: number) =>
      this.attempts.push({ lead, begun_at, took: performance.now() - begun, status })
    const { demo, urls } = this.#stack.local
    try {
      const response = await fetch(this.#door === 'api' ? urls.inbound_leads : urls.form_post, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'idempotency-key': `${this.#name}-${lead}`,
          ...(this.#door === 'api' ? { authorization: `Bearer ${demo.site_token}` } : {}),
        },
        body: JSON.stringify({
          email: this.emailOf(lead),
          name: `Buyer ${lead}`,
          message: `What would ${lead} seats cost?`,
        }),
        signal: AbortSignal.timeout(ATTEMPT_MS),
      })
      const { leadId } = (await response.json()) as { leadId?: string }
      note(response.status)
      return { status: response.status, lead_id: leadId ?? '' }
    } catch {
      note(0)
      return { status: 0, lead_id: '' }
    }
  }
}

/**
 * The answers that show what a request costs while the database is away: since the last of `disturbances` (its end, or a new
 * Worker), some answer has said 202, so the breaker is open.
 */
export function whileBreakerIsOpen(attempts: readonly Attempt[], disturbances: readonly number[]): number[] {
  return attempts.flatMap(({ begun_at, took, status }) => {
    if (status !== 202) return []
    const since = Math.max(...disturbances.filter((at) => at <= begun_at))
    const isOpen = attempts.some(
      (other) => other.status === 202 && other.begun_at >= since && other.begun_at + other.took <= begun_at,
    )
    return isOpen ? [took] : []
  })
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

// Counters of one minute in Postgres, taken in the round trip that the request needs anyway (SQL: take_rate_limit).
// Keys are keyed hashes: neither an address nor an IP is kept. A key that is known to be full is refused from memory.
import { sql } from 'drizzle-orm'
import ipaddr from 'ipaddr.js'
import { raw } from '#db/client'
import { AppError } from '#kernel/errors'
import type { Ctx } from './context'
import { hmacSha256, toHex } from './crypto'

export interface Slot {
  key: string
  /** Per minute; 0 is off. */
  limit: number
}

/** Who is counted: `kind` names the door, `subject` an address or `ipSubject`. */
export async function slotFor(ctx: Ctx, kind: string, subject: string, limit: number): Promise<Slot> {
  const hash = await hmacSha256(ctx.config.JWT_SECRET, `rate limit|${kind}|${subject}`)
  return { key: `${kind}:${toHex(hash).slice(0, 32)}`, limit }
}

/** An IPv6 customer has a whole /64. Where the platform names no address, all callers share one slot. */
export function ipSubject(ip: string | null): string {
  if (ip === null || !ipaddr.isValid(ip)) return 'unknown'
  const address = ipaddr.process(ip)
  return address instanceof ipaddr.IPv6
    ? `${address.parts
        .slice(0, 4)
        .map((part) => part.toString(16))
        .join(':')}::/64`
    : address.toString()
}

/** Takes one slot of each; batch it with the lookup that the request begins with. */
export function takeSlots(slots: readonly Slot[]) {
  const waits = slots.map(({ key, limit }) => sql`take_rate_limit(${key}, ${limit})`)
  return raw<{ waits: number[] }>(sql`select json_build_array(${sql.join(waits, sql`, `)}) as waits`)
}

/** Throws 429 when one was not granted. Call it before anything expensive. */
export function refuseTaken(ctx: Ctx, slots: readonly Slot[], answer: { rows: { waits: number[] }[] }): void {
  const waits = answer.rows[0]?.waits ?? []
  slots.forEach(({ key }, i) => remember(key, waits[i] ?? 0, ctx.clock.now()))
  refuse(Math.max(0, ...waits))
}

/** The 429 for slots that a statement of another kind did not all grant (SQL: ingest_inbound). */
export function rememberTaken(ctx: Ctx, slots: readonly Slot[], waits: readonly number[]): AppError {
  slots.forEach(({ key }, i) => remember(key, waits[i] ?? 0, ctx.clock.now()))
  return tooMany(Math.max(...waits))
}

/** Throws 429 without asking the database when this isolate has just been told so. */
export function refuseKnown(ctx: Ctx, slots: readonly Slot[]): void {
  const now = ctx.clock.now().getTime()
  const waits = slots.map(({ key, limit }) => (limit > 0 ? (full.get(key) ?? now) - now : 0))
  refuse(Math.ceil(Math.max(0, ...waits) / 1000))
}

// Key → when its minute ends. Bounded: the oldest go first.
const full = new Map<string, number>()
const MAX_REMEMBERED = 10_000

function remember(key: string, wait_seconds: number, now: Date): void {
  full.delete(key)
  if (wait_seconds <= 0) return
  full.set(key, now.getTime() + wait_seconds * 1000)
  for (const oldest of full.keys()) {
    if (full.size <= MAX_REMEMBERED) break
    full.delete(oldest)
  }
}

function refuse(wait_seconds: number): void {
  if (wait_seconds > 0) throw tooMany(wait_seconds)
}

function tooMany(wait_seconds: number): AppError {
  return new AppError('rate_limited', `Too many attempts. Please wait ${wait_seconds} seconds.`, {
    retry_after_seconds: wait_seconds,
  })
}

import type * as z from 'zod'
import type { Failure } from './failure'

export const queueNames = ['events', 'drafts', 'sends', 'notifications', 'ingest'] as const
export type QueueName = (typeof queueNames)[number]

/** Nothing, or `{ ok: true }`, is success; a failure is judged by the one retry table. A throw counts as transient. */
type JobOutcome = void | { ok: true } | { ok: false; failure: Failure }

/**
 * A command for one handler. Invariant: its payload holds ids only, it re-reads the truth, and running it twice has one effect.
 * `C` is the platform's context; the kernel does not know it.
 */
export interface Job<P, C> {
  name: string
  queue: QueueName
  payload: z.ZodType<P>
  run(ctx: C, payload: P): Promise<JobOutcome>
  /** Several messages of one batch as one, for a job whose cost is in its round trips. */
  merge?(payloads: P[]): P
}

/** A job whose payload type is not of interest (registries). `never` makes every job assignable. */
export interface AnyJob<C> {
  name: string
  queue: QueueName
  payload: z.ZodType
  run(ctx: C, payload: never): Promise<JobOutcome>
  merge?(payloads: never[]): unknown
}

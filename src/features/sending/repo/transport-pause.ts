// A transport that all organizations share, while its account is refused. Reached by definer functions: a pause is the installation's.
import { sql } from 'drizzle-orm'
import { raw } from '#db/client'
import type { TransportName } from '#kernel/vocabulary'
import { iso } from './trail'

/** `new`: it was not paused before. A pause grows only by what the send that tried has met. */
export function pauseTransport(input: {
  transport: TransportName
  now: Date
  seconds: number
  failure: { code: string; message: string }
  probe: boolean
}) {
  const { transport, now, seconds, failure, probe } = input
  return raw<{ new: boolean }>(sql`
    select pause_transport(${transport}, ${iso(now)}, ${seconds}::integer, ${JSON.stringify(failure)}::jsonb, ${probe}::boolean) as new`)
}

export function resumeTransport(transport: TransportName) {
  return raw<{ resumed: number }>(sql`select resume_transport(${transport}) as resumed`)
}

export type TransportPause = {
  transport: TransportName
  code: string
  message: string
  paused_at: string
  next_try_at: string
}

export function listTransportPauses() {
  return raw<{ pause: TransportPause }>(sql`
    select json_build_object('transport', p.transport, 'code', p.failure->>'code', 'message', p.failure->>'message',
      'paused_at', p.paused_at, 'next_try_at', p.paused_until) as pause from paused_transports() p`)
}

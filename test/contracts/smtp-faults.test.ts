// A real SMTP server behind a line that breaks at every phase in every way: what becomes of the send, and that nothing arrives twice.
import { connect } from 'cloudflare:sockets'
import { and, eq } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { sends, suppressions, transport_pauses } from '#db/schema/sending'
import { addSeconds } from '#kernel/clock'
import { arrangeReply, readSend } from '#test/sends'
import { listenSmtp, type TestSmtp } from '#test/smtp'
import { createWorld, type TestOrganization, type World } from '#test/world'
import { deliverSendJob } from '../../src/features/sending/jobs/deliver-send'
import { reconcileSendJob } from '../../src/features/sending/jobs/reconcile-send'
import { smtpTransport } from '../../src/features/sending/transports/smtp'
import { type FaultAct, type FaultPhase, SMTP_PASSWORD, SMTP_USER } from '../support/smtp-scenario'

const LIMITS = { reply_ms: 500, session_ms: 2000, dot_ms: 500 }
const transport = smtpTransport(connect, LIMITS)
const deliver = deliverSendJob([transport])
const reconcile = reconcileSendJob([transport])

const settings = (port: number, more: Record<string, string> = {}) => ({
  MAIL_TRANSPORT: 'smtp',
  FROM_EMAIL: 'hello@inlet.test',
  SMTP_HOST: '127.0.0.1',
  SMTP_PORT: String(port),
  SMTP_TLS: 'off',
  SMTP_USER,
  SMTP_PASSWORD,
  ...more,
})

const unpause = async () => {
  await createWorld().sql(q.delete(transport_pauses))
}
beforeEach(unpause)
afterEach(unpause)

interface Scene {
  world: World
  org: TestOrganization
  send_id: string
}

async function arrange(port: number, more: Record<string, string> = {}): Promise<Scene> {
  const world = createWorld(settings(port, more))
  const org = await world.organization()
  const { send_id } = await arrangeReply(world, org, { automatic: false })
  return { world, org, send_id }
}

async function outcomeOf({ world, org, send_id }: Scene, server: TestSmtp) {
  const { state, waits_because, attempts, last_error } = await readSend(world, send_id)
  const [suppressed] = await world.sql(q.select().from(suppressions).where(eq(suppressions.org_id, org.id)))
  return {
    state,
    waits_because,
    attempts,
    error: last_error?.code ?? null,
    suppressed: suppressed.length,
    arrived: (await server.mails()).length,
  }
}

/** What the line does, and what the send is then. */
const paused = (error: string) =>
  ({
    state: 'scheduled',
    waits_because: 'transport_paused',
    attempts: 0,
    error,
    suppressed: 0,
    arrived: 0,
  }) as const
const later = (error: string) =>
  ({
    state: 'scheduled',
    waits_because: 'provider_unavailable',
    attempts: 1,
    error,
    suppressed: 0,
    arrived: 0,
  }) as const
const busy = {
  state: 'scheduled',
  waits_because: 'rate_limited',
  attempts: 0,
  error: 'smtp_try_later',
  suppressed: 0,
  arrived: 0,
} as const
const failed = (error: string, suppressed = 0) =>
  ({ state: 'failed', waits_because: null, attempts: 1, error, suppressed, arrived: 0 }) as const
const unknown = (error: string, arrived: number) =>
  ({ state: 'unknown', waits_because: null, attempts: 1, error, suppressed: 0, arrived }) as const

const sent = {
  state: 'sent',
  waits_because: null,
  attempts: 1,
  error: null,
  suppressed: 0,
  arrived: 1,
} as const

type Expected = Awaited<ReturnType<typeof outcomeOf>>
const table: [FaultPhase, FaultAct, Expected][] = [
  ['connect', 'close', paused('smtp_unreachable')],

  ['greeting', 'close', paused('smtp_unreachable')],
  ['greeting', 'hang', paused('smtp_unreachable')],
  ['greeting', 'garbage', paused('smtp_unreachable')],
  ['greeting', 'endless_lines', paused('smtp_unreachable')],
  ['greeting', 'endless_line', paused('smtp_unreachable')],
  ['greeting', 'drip', paused('smtp_unreachable')],
  ['greeting', '421 too busy', busy],
  ['greeting', '450 later', busy],
  ['greeting', '554 no service here', paused('smtp_refused')],

  ['ehlo', 'close', paused('smtp_unreachable')],
  ['ehlo', 'hang', paused('smtp_unreachable')],
  ['ehlo', 'endless_lines', paused('smtp_unreachable')],
  ['ehlo', '421 too busy', busy],
  ['ehlo', '450 later', busy],
  ['ehlo', '550 who are you', paused('smtp_refused')],

  ['auth', 'close', paused('smtp_unreachable')],
  ['auth', 'hang', paused('smtp_unreachable')],
  ['auth', '421 too busy', busy],
  ['auth', '454 4.7.0 try later', busy],
  ['auth', '535 5.7.8 wrong password', paused('smtp_login_refused')],
  ['auth', '550 no', paused('smtp_login_refused')],

  ['mail', 'close', later('smtp_closed')],
  ['mail', 'hang', later('smtp_timeout')],
  ['mail', 'garbage', later('smtp_garbage')],
  ['mail', 'drip', later('smtp_timeout')],
  ['mail', 'extra', later('smtp_garbage')],
  ['mail', '421 too busy', later('smtp_try_later')],
  ['mail', '450 later', later('smtp_try_later')],
  ['mail', '550 not this sender', paused('smtp_sender_refused')],
  ['mail', '552 too large', failed('too_large')],

  ['rcpt', 'close', later('smtp_closed')],
  ['rcpt', 'hang', later('smtp_timeout')],
  ['rcpt', 'endless_line', later('smtp_garbage')],
  ['rcpt', 'extra', later('smtp_garbage')],
  ['rcpt', '421 too busy', later('smtp_try_later')],
  ['rcpt', '450 4.2.0 greylisted', later('smtp_try_later')],
  ['rcpt', '550 5.1.1 no such user', failed('bad_recipient', 1)],
  ['rcpt', '550 no', failed('bad_recipient', 1)],
  ['rcpt', '552 5.2.2 mailbox full', failed('mailbox_full')],
  ['rcpt', '550 5.7.1 blocked by policy', failed('mail_refused')],
  ['rcpt', '554 5.7.1 Relay access denied', paused('smtp_relay_refused')],

  ['data', 'close', later('smtp_closed')],
  ['data', 'hang', later('smtp_timeout')],
  ['data', 'extra', later('smtp_garbage')],
  ['data', '421 too busy', later('smtp_try_later')],
  ['data', '450 later', later('smtp_try_later')],
  ['data', '550 not this', failed('mail_refused')],
  ['data', '250 what', later('smtp_unexpected_reply')],

  // The dot is behind the body on the same line: a server that stops reading may have it.
  ['body', 'hang', unknown('smtp_timeout', 0)],

  ['dot', 'close', unknown('smtp_closed', 1)],
  ['dot', 'close_before', unknown('smtp_closed', 0)],
  ['dot', 'hang', unknown('smtp_timeout', 1)],
  ['dot', 'garbage', unknown('smtp_garbage', 1)],
  ['dot', 'drip', unknown('smtp_timeout', 1)],
  ['dot', '421 too busy', later('smtp_try_later')],
  ['dot', '450 later', later('smtp_try_later')],
  ['dot', '550 not this mail', failed('mail_refused')],
  // What has taken it has taken it, in whatever words.
  ['dot', '200 queued', sent],
  ['dot', '252 2.0.0 accepted', sent],
  ['dot', '354 go on', unknown('smtp_garbage', 1)],
]

describe('a server that breaks off, refuses or hangs', () => {
  it.each(table)('at %s with %s leaves the send as it is', async (phase, act, expected) => {
    const server = await listenSmtp({ auth: ['PLAIN'], fault: { phase, act } })
    const scene = await arrange(server.port)
    const { org, send_id } = scene
    await deliver.run(scene.world.ctx(), { org_id: org.id, send_id })
    expect(await outcomeOf(scene, server)).toEqual(expected)

    // The server is well again: by whatever the product may do then, the mail is there once, or a person is asked.
    const later = createWorld(settings(server.healthy))
    for (const minutes of [3, 30, 60]) {
      const as_of = addSeconds(later.clock.now(), minutes * 60)
      await reconcile.run(later.ctx({ as_of }), { org_id: org.id, send_id })
      await deliver.run(later.ctx({ as_of }), { org_id: org.id, send_id })
    }
    const { state, arrived } = await outcomeOf(scene, server)
    const end = { sent: 'sent', scheduled: 'sent', unknown: 'review', failed: 'failed' }[
      expected.state as 'scheduled'
    ]
    expect({ state, arrived }).toEqual({
      state: end,
      arrived: expected.state === 'scheduled' ? 1 : expected.arrived,
    })
  })

  it('is no server at all: nothing fails, nothing is lost, and all of it leaves when it is back', async () => {
    const server = await listenSmtp({ auth: ['PLAIN'] })
    const scene = await arrange(1)
    const others = await Promise.all(
      [1, 2, 3].map(() => arrangeReply(scene.world, scene.org, { automatic: false })),
    )
    const ids = [scene.send_id, ...others.map((other) => other.send_id)]
    for (const send_id of ids) await deliver.run(scene.world.ctx(), { org_id: scene.org.id, send_id })
    const back = createWorld(settings(server.port))
    for (const minutes of [2, 6])
      for (const send_id of ids)
        await deliver.run(back.ctx({ as_of: addSeconds(back.clock.now(), minutes * 60) }), {
          org_id: scene.org.id,
          send_id,
        })
    const [rows] = await back.sql(
      q
        .select({ state: sends.state, attempts: sends.attempts })
        .from(sends)
        .where(eq(sends.org_id, scene.org.id)),
    )
    expect(rows).toEqual(ids.map(() => ({ state: 'sent', attempts: 1 })))
    expect((await server.mails()).length).toBe(ids.length)
  })
})

describe('STARTTLS', () => {
  const over = { SMTP_TLS: 'starttls', SMTP_HOST: 'localhost' }

  it.each([
    ['starttls', 'close', paused('smtp_unreachable')],
    ['starttls', 'hang', paused('smtp_unreachable')],
    ['starttls', '454 4.7.0 no certificate just now', busy],
    ['starttls', '554 no', paused('smtp_refused')],
    ['greeting', 'hang', paused('smtp_unreachable')],
    ['ehlo', 'close', paused('smtp_unreachable')],
  ] as const)('that breaks at %s with %s sends nothing', async (phase, act, expected) => {
    const server = await listenSmtp({ tls: 'starttls', auth: ['PLAIN'], fault: { phase, act } })
    const scene = await arrange(server.port, over)
    await deliver.run(scene.world.ctx(), { org_id: scene.org.id, send_id: scene.send_id })
    expect(await outcomeOf(scene, server)).toEqual(expected)
  })

  it('that is not offered is not done without', async () => {
    const server = await listenSmtp({ auth: ['PLAIN'] })
    const scene = await arrange(server.port, over)
    await deliver.run(scene.world.ctx(), { org_id: scene.org.id, send_id: scene.send_id })
    expect(await outcomeOf(scene, server)).toEqual(paused('smtp_no_starttls'))
  })

  it('drops what came before the handshake', async () => {
    const server = await listenSmtp({
      tls: 'starttls',
      auth: ['PLAIN'],
      fault: { phase: 'starttls', act: 'extra' },
    })
    const scene = await arrange(server.port, over)
    await deliver.run(scene.world.ctx(), { org_id: scene.org.id, send_id: scene.send_id })
    const { state, arrived } = await outcomeOf(scene, server)
    // The reply that a stranger slipped in is nobody's answer: the mail arrives by the real ones, or not at all.
    expect([
      { state: 'sent', arrived: 1 },
      { state: 'scheduled', arrived: 0 },
    ]).toContainEqual({ state, arrived })
  })
})

it('tells nobody a recipient that the server was not asked about', async () => {
  const server = await listenSmtp({ auth: ['PLAIN'], utf8: false })
  const world = createWorld(settings(server.port))
  const org = await world.organization()
  const { send_id } = await arrangeReply(world, org, { automatic: false, email: 'zoë@buyer.test' })
  await deliver.run(world.ctx(), { org_id: org.id, send_id })
  expect(await outcomeOf({ world, org, send_id }, server)).toEqual({
    ...failed('bad_recipient', 1),
    arrived: 0,
  })
  const [[row]] = await world.sql(
    q
      .select({ at: suppressions.created_at })
      .from(suppressions)
      .where(and(eq(suppressions.org_id, org.id), eq(suppressions.value_norm, 'zoë@buyer.test'))),
  )
  expect(row?.at).toBeInstanceOf(Date)
})

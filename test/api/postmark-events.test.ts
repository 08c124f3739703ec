// POST /webhooks/postmark/*: what a provider reports of a mail that has left, doubled, late and in any order.
import { and, eq, inArray } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { mail_events, sends, suppressions } from '#db/schema/sending'
import { deliverSend } from '#features/sending'
import { addSeconds } from '#kernel/clock'
import { withoutDatabase } from '#test/outage'
import { arrangeReply, readSend } from '#test/sends'
import { createWorld, read, type TestOrganization, type World } from '#test/world'

const LOGIN = { WEBHOOK_USERNAME: 'postmark', WEBHOOK_PASSWORD: 'test-only-pässword:with colon' }
const basic = (user: string, password: string) => ({
  Authorization: `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${user}:${password}`)))}`,
})
const AUTHORIZED = basic(LOGIN.WEBHOOK_USERNAME, LOGIN.WEBHOOK_PASSWORD)
const PATHS = ['bounce', 'delivery', 'complaint', 'subscription']

type Body = Record<string, unknown>

interface Scene {
  world: World
  org: TestOrganization
  send_id: string
  to_email: string
  provider_message_id: string
  post: (body: Body | string, path?: string) => Promise<{ status: number; body: Body }>
}

/** A mail that Postmark has taken; `state` makes it one that we do not know to have left. */
async function arrange(
  state: 'sent' | 'sending' | 'unknown' | 'review' | 'scheduled' = 'sent',
): Promise<Scene> {
  const world = createWorld({
    ...LOGIN,
    MAIL_TRANSPORT: 'postmark',
    POSTMARK_SERVER_TOKEN: 't',
    FROM_EMAIL: 'hello@inlet.test',
  })
  const org = await world.organization()
  const { send_id } = await arrangeReply(world, org, { automatic: false })
  const provider_message_id = crypto.randomUUID()
  const [[row]] = await world.sql(
    q
      .update(sends)
      .set({ state, ...(state === 'sent' ? { provider_message_id, sent_at: world.clock.now() } : {}) })
      .where(eq(sends.id, send_id))
      .returning(),
  )
  return {
    world,
    org,
    send_id,
    to_email: row?.to_email ?? '',
    provider_message_id,
    post: async (body, path = '/api/webhooks/postmark/bounce') =>
      read(await world.request('POST', path, { body, headers: AUTHORIZED })),
  }
}

let serial = 1_000_000
const nextId = () => ++serial

function metadataOf({ send_id, org }: Scene) {
  return { Metadata: { send_id, org_id: org.id } }
}
const delivery = (scene: Scene, at: string, more: Body = metadataOf(scene)) => ({
  RecordType: 'Delivery',
  ServerID: 23,
  MessageStream: 'outbound',
  MessageID: scene.provider_message_id,
  Recipient: scene.to_email,
  Tag: 'reply',
  DeliveredAt: at,
  Details: `smtp;250 2.0.0 OK ${scene.to_email}`,
  ...more,
})
const bounce = (scene: Scene, at: string, more: Body = {}) => ({
  RecordType: 'Bounce',
  ID: nextId(),
  Type: 'HardBounce',
  TypeCode: 1,
  Name: 'Hard bounce',
  MessageID: scene.provider_message_id,
  ServerID: 23,
  Description: 'The server was unable to deliver your message (ex: unknown user, mailbox not found).',
  Details: `smtp;550 5.1.1 <${scene.to_email}> does not exist.`,
  Email: scene.to_email.toUpperCase(),
  From: 'hello@inlet.test',
  BouncedAt: at,
  DumpAvailable: true,
  Inactive: true,
  CanActivate: true,
  Subject: 'Re: Pricing?',
  Content: 'the whole mail',
  ...metadataOf(scene),
  ...more,
})
const soft = {
  Type: 'SoftBounce',
  TypeCode: 4096,
  Inactive: false,
  Description: 'Mailbox full.',
  Details: 'smtp;452 4.2.2',
}
const complaint = (scene: Scene, at: string) =>
  bounce(scene, at, { RecordType: 'SpamComplaint', Type: 'SpamComplaint', TypeCode: 512, CanActivate: false })
const change = (scene: Scene, at: string, suppress: boolean, more: Body = {}) => ({
  RecordType: 'SubscriptionChange',
  MessageID: scene.provider_message_id,
  ServerID: 23,
  MessageStream: 'outbound',
  ChangedAt: at,
  Recipient: scene.to_email,
  Origin: 'Recipient',
  SuppressSending: suppress,
  SuppressionReason: suppress ? 'ManualSuppression' : null,
  Tag: 'reply',
  ...metadataOf(scene),
  ...more,
})

async function lookAt({ world, org, send_id, provider_message_id }: Scene) {
  const { delivered_at, bounced_at, bounce: bounced, complained_at } = await readSend(world, send_id)
  const [suppressed, events, audits] = await world.sql(
    q
      .select({ value: suppressions.value_norm, reason: suppressions.reason })
      .from(suppressions)
      .where(eq(suppressions.org_id, org.id)),
    q
      .select({ applied: mail_events.applied_at })
      .from(mail_events)
      .where(eq(mail_events.provider_message_id, provider_message_id)),
    q
      .select({ action: audit_logs.action, fields: audit_logs.fields })
      .from(audit_logs)
      .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.actor_id, 'postmark'))),
  )
  return {
    delivered_at: delivered_at?.toISOString() ?? null,
    bounced_at: bounced_at?.toISOString() ?? null,
    bounce: bounced,
    complained_at: complained_at?.toISOString() ?? null,
    suppressed: suppressed.map(({ reason }) => reason),
    events: events.length,
    waiting: events.filter(({ applied }) => applied === null).length,
    audits: audits.map(({ action }) => action),
  }
}

const T = (minute: number) => new Date(Date.UTC(2026, 10, 20, 9, minute)).toISOString()
const untouched = {
  delivered_at: null,
  bounced_at: null,
  bounce: null,
  complained_at: null,
  suppressed: [] as string[],
  events: 1,
  waiting: 0,
  audits: [] as string[],
}
const HARD = {
  hard: true,
  status: '5.1.1',
  detail: 'The server was unable to deliver your message (ex: unknown user, mailbox not found).',
}

describe('who may report', () => {
  it.each(PATHS.flatMap((name) => [`/api/webhooks/postmark/${name}`, `/api/v1/webhooks/postmark/${name}`]))(
    'POST %s answers 401, and never 403, to whoever has no login or a wrong one',
    async (path) => {
      const world = createWorld(LOGIN)
      const wrong = [
        {},
        basic('postmark', 'wrong'),
        basic('', ''),
        { Authorization: 'Basic %%%' },
        { Authorization: 'Basic' },
        { Authorization: `Bearer ${btoa('postmark:x')}` },
      ]
      for (const headers of wrong) {
        // Before the body is looked at: a stranger learns nothing of it.
        const response = await world.request('POST', path, { body: '{"broken":', headers })
        expect({
          status: response.status,
          challenge: response.headers.get('WWW-Authenticate'),
          type: response.headers.get('Content-Type'),
        }).toEqual({
          status: 401,
          challenge: 'Basic realm="webhooks", charset="UTF-8"',
          type: 'application/problem+json',
        })
      }
      const allowed = await world.request('POST', path, { body: { RecordType: 'Open' }, headers: AUTHORIZED })
      expect({ status: allowed.status, body: await allowed.json() }).toEqual({
        status: 200,
        body: { status: 'ignored' },
      })
    },
  )

  it('is nobody while the login is not configured', async () => {
    const { status, body } = await read(
      await createWorld({ WEBHOOK_USERNAME: 'postmark' }).request('POST', '/api/webhooks/postmark/bounce', {
        body: { RecordType: 'Open' },
        headers: AUTHORIZED,
      }),
    )
    expect({ status, code: body['code'], settings: body['settings'] }).toEqual({
      status: 503,
      code: 'not_configured',
      settings: ['WEBHOOK_PASSWORD'],
    })
  })

  it.each([
    ['{"broken":', 400],
    ['null', 400],
    ['[]', 400],
    ['{}', 400],
    ['{"RecordType":"Delivery"}', 400],
    ['{"RecordType":"Bounce","ID":1}', 200],
    ['{"RecordType":"Bounce","ID":1,"MessageID":"\\u0000"}', 200],
    ['{"RecordType":"Delivery","MessageID":"\\u0000","DeliveredAt":"2026-11-20T09:00:00Z"}', 400],
    ['{"From":"ada@buyer.test","MessageID":"m","Headers":[]}', 400],
  ] as const)('is told of the body %j: %d', async (body, status) => {
    const { post } = await arrange()
    expect((await post(body)).status).toBe(status)
  })
})

describe('a report', () => {
  it('of a delivery is one round trip, and on the send from then on', async () => {
    const scene = await arrange()
    const response = await scene.world.request('POST', '/api/webhooks/postmark/delivery', {
      body: delivery(scene, T(1)),
      headers: AUTHORIZED,
    })
    expect({ status: response.status, trips: response.headers.get('Server-Timing') }).toEqual({
      status: 200,
      trips: expect.stringContaining('desc="1"'),
    })
    const { token } = await scene.org.as('agent')
    const { body } = await read(await scene.world.request('GET', `/api/v1/sends/${scene.send_id}`, { token }))
    expect(body).toMatchObject({ state: 'sent', delivered_at: T(1), bounced_at: null, complained_at: null })
    expect(await lookAt(scene)).toEqual({ ...untouched, delivered_at: T(1), audits: ['send.delivered'] })
  })

  it('keeps no address and no text once it is applied', async () => {
    const scene = await arrange()
    await scene.post(bounce(scene, T(2)))
    const [rows] = await scene.world.sql(
      q.select().from(mail_events).where(eq(mail_events.provider_message_id, scene.provider_message_id)),
    )
    expect(rows).toHaveLength(1)
    expect(JSON.stringify(rows).toLowerCase()).not.toContain(scene.to_email)
    expect(JSON.stringify(rows)).not.toContain('whole mail')
  })

  it.each([
    [
      'a hard bounce',
      (s: Scene) => bounce(s, T(2)),
      { bounced_at: T(2), bounce: HARD, suppressed: ['hard_bounce'], audits: ['send.bounced'] },
    ],
    [
      'a soft bounce',
      (s: Scene) => bounce(s, T(2), soft),
      {
        bounced_at: T(2),
        bounce: { hard: false, status: '4.2.2', detail: 'Mailbox full.' },
        audits: ['send.bounced'],
      },
    ],
    [
      'a block for our reputation',
      (s: Scene) =>
        bounce(s, T(2), { TypeCode: 100_006, Type: 'Blocked', Description: 'ISP block.', Details: '' }),
      {
        bounced_at: T(2),
        bounce: { hard: false, status: null, detail: 'ISP block.' },
        audits: ['send.bounced'],
      },
    ],
    ['an absence note', (s: Scene) => bounce(s, T(2), { TypeCode: 64, Inactive: false }), {}],
    [
      'a complaint',
      (s: Scene) => complaint(s, T(2)),
      { complained_at: T(2), suppressed: ['complaint'], audits: ['send.complained'] },
    ],
    [
      'an unsubscription among the bounces',
      (s: Scene) => bounce(s, T(2), { TypeCode: 16 }),
      { suppressed: ['unsubscribed_at_provider'], audits: ['send.unsubscribed'] },
    ],
    [
      'a change of subscription',
      (s: Scene) => change(s, T(2), true),
      { suppressed: ['unsubscribed_at_provider'], audits: ['send.unsubscribed'] },
    ],
  ] as const)('of %s does what it means, once, however often it comes', async (_name, make, expected) => {
    const scene = await arrange()
    const body = make(scene)
    for (const path of PATHS)
      expect((await scene.post(body, `/api/v1/webhooks/postmark/${path}`)).status).toBe(200)
    await Promise.all([scene.post(body), scene.post(body)])
    expect(await lookAt(scene)).toEqual({ ...untouched, ...expected })
  })

  it('finds its send by the id that Postmark gave it, where it brings no metadata', async () => {
    const scene = await arrange()
    await scene.post(delivery(scene, T(1), { Metadata: {} }))
    expect((await lookAt(scene)).delivered_at).toBe(T(1))
  })

  it('touches no send of another organization, whatever its metadata say', async () => {
    const scene = await arrange()
    const other = await arrange()
    await scene.post(
      delivery(scene, T(1), {
        MessageID: crypto.randomUUID(),
        Metadata: { send_id: scene.send_id, org_id: other.org.id },
      }),
    )
    expect((await lookAt(scene)).delivered_at).toBeNull()
    expect((await lookAt(other)).delivered_at).toBeNull()
  })
})

/** Every order of a few. */
function permutations<T>(list: readonly T[]): T[][] {
  if (list.length < 2) return [[...list]]
  return list.flatMap((one, i) =>
    permutations([...list.slice(0, i), ...list.slice(i + 1)]).map((rest) => [one, ...rest]),
  )
}

describe('reports in any order, each of them twice', () => {
  it('end in the same: the earliest of each kind, a hard bounce before a soft one', async () => {
    const ends: unknown[] = []
    const kinds = [0, 1, 2, 3]
    for (const order of permutations(kinds)) {
      const scene = await arrange()
      const bodies = [
        delivery(scene, T(1)),
        bounce(scene, T(3)),
        bounce(scene, T(2), soft),
        complaint(scene, T(4)),
      ]
      for (const i of [...order, ...order]) await scene.post(bodies[i] ?? {})
      const { audits: _audits, ...end } = await lookAt(scene)
      const [reason] = end.suppressed
      ends.push({ ...end, suppressed: [reason === 'hard_bounce' || reason === 'complaint'] })
    }
    const one = {
      delivered_at: T(1),
      bounced_at: T(3),
      bounce: HARD,
      complained_at: T(4),
      suppressed: [true],
      events: 4,
      waiting: 0,
    }
    expect(ends).toEqual(permutations(kinds).map(() => one))
  })

  it.each([
    ['comes back', [true, false], []],
    ['comes back and leaves again', [true, false, true], ['unsubscribed_at_provider']],
    ['leaves', [true], ['unsubscribed_at_provider']],
    ['was never gone', [false], []],
  ] as const)('leave the newest word of an address that %s', async (_name, words, expected) => {
    for (const order of permutations(words.map((_, i) => i))) {
      const scene = await arrange()
      for (const i of [...order, ...order]) await scene.post(change(scene, T(i), words[i] ?? true))
      expect((await lookAt(scene)).suppressed).toEqual(expected)
    }
  })

  it.each([
    ['a complaint', (s: Scene) => complaint(s, T(1)), 'complaint'],
    ['a hard bounce', (s: Scene) => bounce(s, T(1)), 'hard_bounce'],
  ] as const)('let a reactivation take back an unsubscription, and never %s', async (_name, make, reason) => {
    for (const order of permutations([0, 1, 2])) {
      const scene = await arrange()
      const bodies = [make(scene), change(scene, T(2), true), change(scene, T(3), false)]
      for (const i of order) await scene.post(bodies[i] ?? {})
      expect((await lookAt(scene)).suppressed).toEqual([reason])
    }
  })

  it('take back nothing that was unsubscribed here', async () => {
    const scene = await arrange()
    await scene.world.sql(
      q.insert(suppressions).values({
        org_id: scene.org.id,
        id: crypto.randomUUID(),
        kind: 'email',
        value_norm: scene.to_email,
        reason: 'unsubscribed',
        created_at: new Date(T(0)),
      }),
    )
    await scene.post(change(scene, T(1), true))
    await scene.post(
      change(scene, T(2), false, {
        Origin: 'Admin',
        MessageID: '00000000-0000-0000-0000-000000000000',
        Metadata: {},
      }),
    )
    expect((await lookAt(scene)).suppressed).toEqual(['unsubscribed'])
  })

  it('take back what was unsubscribed at Postmark also when they name no mail', async () => {
    const scene = await arrange()
    await scene.post(change(scene, T(1), true))
    await scene.post(change(scene, T(2), false, { Origin: 'Admin', MessageID: undefined, Metadata: {} }))
    expect((await lookAt(scene)).suppressed).toEqual([])
  })
})

describe('a report of a mail that nobody knew to have left', () => {
  it.each(['unknown', 'review', 'scheduled'] as const)(
    'proves that it has, and it is never sent again (%s)',
    async (state) => {
      const scene = await arrange(state)
      await scene.post(delivery(scene, T(1)))
      await scene.world.drain()
      const send = await readSend(scene.world, scene.send_id)
      expect({
        state: send.state,
        id: send.provider_message_id,
        delivered: send.delivered_at?.toISOString(),
      }).toEqual({
        state: 'sent',
        id: scene.provider_message_id,
        delivered: T(1),
      })
      const calls: string[] = []
      scene.world.fetch = async (input) => {
        calls.push(new Request(input).url)
        return new Response(null, { status: 500 })
      }
      const as_of = addSeconds(scene.world.clock.now(), 3600)
      await deliverSend.run(scene.world.ctx({ as_of }), { org_id: scene.org.id, send_id: scene.send_id })
      expect(calls).toEqual([])
      await scene.world.tick('*/5 * * * *', as_of)
      expect(await lookAt(scene)).toMatchObject({ events: 1, waiting: 0, audits: ['send.delivered'] })
    },
  )

  it('is found by the sweep when its job was lost', async () => {
    const scene = await arrange('unknown')
    await scene.post(delivery(scene, T(1)))
    scene.world.queued.splice(0)
    await scene.world.tick('*/5 * * * *')
    await scene.world.drain()
    expect((await readSend(scene.world, scene.send_id)).state).toBe('sent')
  })

  it('does not get into the way of the run that is about to note it', async () => {
    const scene = await arrange('sending')
    await scene.post(delivery(scene, T(1)))
    await scene.world.drain()
    expect((await readSend(scene.world, scene.send_id)).state).toBe('sending')
    await scene.world.sql(q.update(sends).set({ state: 'sent' }).where(eq(sends.id, scene.send_id)))
    await scene.world.tick('*/5 * * * *')
    expect(await lookAt(scene)).toMatchObject({ delivered_at: T(1), waiting: 0 })
  })
})

describe('a report without its send', () => {
  it('is kept, and applied as soon as the send has its id', async () => {
    const scene = await arrange()
    await scene.world.sql(
      q.update(sends).set({ provider_message_id: null }).where(eq(sends.id, scene.send_id)),
    )
    await scene.post(bounce(scene, T(2), { Metadata: {} }))
    await scene.world.tick('*/5 * * * *')
    expect(await lookAt(scene)).toEqual({ ...untouched, waiting: 1 })
    await scene.world.sql(
      q
        .update(sends)
        .set({ provider_message_id: scene.provider_message_id })
        .where(eq(sends.id, scene.send_id)),
    )
    await scene.world.tick('*/5 * * * *', addSeconds(scene.world.clock.now(), 300))
    expect(await lookAt(scene)).toEqual({
      ...untouched,
      bounced_at: T(2),
      bounce: HARD,
      suppressed: ['hard_bounce'],
      audits: ['send.bounced'],
    })
  })

  it('is given up after three days, and forgotten after fourteen', async () => {
    const scene = await arrange()
    await scene.world.sql(
      q.update(sends).set({ provider_message_id: null }).where(eq(sends.id, scene.send_id)),
    )
    await scene.post(bounce(scene, T(2), { Metadata: {} }))
    await scene.world.sql(
      q
        .update(sends)
        .set({ provider_message_id: scene.provider_message_id })
        .where(eq(sends.id, scene.send_id)),
    )
    const days = (count: number) => addSeconds(scene.world.clock.now(), count * 86_400)
    await scene.world.tick('*/5 * * * *', days(3.1))
    expect(await lookAt(scene)).toEqual({ ...untouched, waiting: 1 })
    await scene.world.tick('0 3 * * *', days(14.1))
    expect(await lookAt(scene)).toEqual({ ...untouched, events: 0 })
  })
})

it('tells the address of one organization nothing about another that writes to it', async () => {
  const scene = await arrange()
  const other = await arrange()
  await other.world.sql(q.update(sends).set({ to_email: scene.to_email }).where(eq(sends.id, other.send_id)))
  await scene.post(complaint(scene, T(1)))
  const [rows] = await scene.world.sql(
    q
      .select({ org_id: suppressions.org_id })
      .from(suppressions)
      .where(inArray(suppressions.org_id, [scene.org.id, other.org.id])),
  )
  expect(rows).toEqual([{ org_id: scene.org.id }])
})

describe('while the database is down', () => {
  it('a report is kept, twice is once, and it is applied when the database answers', async () => {
    const scene = await arrange('review')
    const { world, org, post } = scene
    const hostile = { Description: 'a\u0000b\ud800', Type: 'Hard\u0000Bounce' }
    const bodies = [delivery(scene, T(1)), bounce(scene, T(2), hostile), change(scene, T(3), true)]
    await withoutDatabase(world, async () => {
      for (const body of [...bodies, ...bodies])
        expect(await post(body)).toEqual({ status: 200, body: { status: 'queued' } })
    })
    expect((await lookAt(scene)).events).toBe(0)
    await world.ctx().ingest(org.id).flush(world.clock.now())
    await world.drain()
    await world.tick('*/5 * * * *')
    await world.drain()
    await world.tick('*/5 * * * *', addSeconds(world.clock.now(), 300))
    expect((await readSend(world, scene.send_id)).state).toBe('sent')
    expect(await lookAt(scene)).toMatchObject({
      delivered_at: T(1),
      bounced_at: T(2),
      bounce: { hard: true, detail: 'a b\ufffd' },
      suppressed: ['hard_bounce'],
      events: 3,
      waiting: 0,
    })
  })

  it('one that names no send of ours comes again: 503', async () => {
    const scene = await arrange()
    await withoutDatabase(scene.world, async () => {
      const { status, body } = await scene.post(delivery(scene, T(1), { Metadata: {} }))
      expect({ status, code: body['code'] }).toEqual({ status: 503, code: 'unavailable' })
    })
  })
})

// Postmark as it answers, well and badly: what becomes of the send, and of the sends behind it.
import { eq, inArray, sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { conversations, messages } from '#db/schema/conversations'
import { sends, suppressions, transport_pauses } from '#db/schema/sending'
import { deliverSend, reconcileSend } from '#features/sending'
import { addSeconds } from '#kernel/clock'
import { createFakePostmark, type FakePostmark, POSTMARK_BASE, POSTMARK_TOKEN } from '#test/fake-postmark'
import { arrangeReply, readSend } from '#test/sends'
import { createWorld, read, type TestOrganization, type World } from '#test/world'

const unpause = async () => {
  await createWorld().sql(q.delete(transport_pauses))
}
beforeEach(unpause)
afterEach(unpause)

interface Scene {
  world: World
  org: TestOrganization
  fake: FakePostmark
  send_id: string
  /** A reply behind the first. */
  another: () => Promise<string>
  deliver: (send_id?: string, minutes?: number) => Promise<unknown>
  reconcile: (minutes: number) => Promise<unknown>
}

async function arrange(
  settings: Record<string, string> = {},
  given: Parameters<typeof arrangeReply>[2] = {},
): Promise<Scene> {
  const fake = createFakePostmark()
  const world = createWorld({
    MAIL_TRANSPORT: 'postmark',
    POSTMARK_SERVER_TOKEN: POSTMARK_TOKEN,
    POSTMARK_API_BASE: POSTMARK_BASE,
    FROM_EMAIL: 'hello@inlet.test',
    INBOUND_EMAIL_DOMAIN: 'in.inlet.test',
    ...settings,
  })
  world.fetch = fake.fetch
  const org = await world.organization({ from_name: 'Shop' })
  const arrangeOne = async () => (await arrangeReply(world, org, { automatic: false, ...given })).send_id
  const send_id = await arrangeOne()
  const at = (minutes: number) => ({ as_of: addSeconds(world.clock.now(), minutes * 60) })
  return {
    world,
    org,
    fake,
    send_id,
    another: arrangeOne,
    deliver: (id = send_id, minutes = 0) =>
      deliverSend.run(world.ctx(minutes === 0 ? {} : at(minutes)), { org_id: org.id, send_id: id }),
    reconcile: (minutes) => reconcileSend.run(world.ctx(at(minutes)), { org_id: org.id, send_id }),
  }
}

async function outcomeOf({ world, org, fake, send_id }: Scene) {
  const { state, waits_because, attempts, last_error } = await readSend(world, send_id)
  const [suppressed] = await world.sql(
    q.select({ reason: suppressions.reason }).from(suppressions).where(eq(suppressions.org_id, org.id)),
  )
  return {
    state,
    waits_because,
    attempts,
    error: last_error?.code ?? null,
    suppressed: suppressed.map(({ reason }) => reason),
    accepted: fake.accepted.length,
  }
}

describe('a mail by Postmark', () => {
  it('says who it is from, where answers go and which send it is, and keeps the thread', async () => {
    const scene = await arrange({}, { automatic: true })
    const { world, org, fake, send_id, deliver } = scene
    await deliver()
    const send = await readSend(world, send_id)
    const [mail] = fake.accepted
    expect(mail).toEqual({
      MessageID: expect.any(String),
      From: '"Shop" <hello@inlet.test>',
      To: `"Ada" <${send.to_email}>`,
      ReplyTo: expect.stringMatching(/^reply\+[a-z2-7]+@in\.inlet\.test$/),
      Subject: 'Re: Pricing?',
      TextBody: 'Ten seats cost 90.',
      MessageStream: 'outbound',
      Tag: 'reply',
      Metadata: { send_id, org_id: org.id },
      Headers: expect.arrayContaining([
        { Name: 'In-Reply-To', Value: send.in_reply_to },
        { Name: 'References', Value: send.references.join(' ') },
        { Name: 'X-Inlet-Send-Id', Value: send_id },
        { Name: 'Auto-Submitted', Value: 'auto-replied' },
      ]),
      TrackOpens: false,
      TrackLinks: 'None',
    })
    expect({ state: send.state, provider_message_id: send.provider_message_id }).toEqual({
      state: 'sent',
      provider_message_id: mail?.MessageID,
    })
    const [[message]] = await world.sql(
      q.select({ message_id: messages.message_id }).from(messages).where(eq(messages.send_id, send_id)),
    )
    // The one that it really leaves with: answers will refer to it.
    expect(message).toEqual({ message_id: `<${mail?.MessageID}@mtasv.net>` })
  })

  it.each([
    ['from_name', 'Shop\r\nBcc: eve@evil.test'],
    ['to_name', 'Ada\r\nBcc: eve@evil.test'],
    ['subject', 'Hello\r\nBcc: eve@evil.test\r\n\r\nbody'],
    ['in_reply_to', '<a@b>\r\nBcc: eve@evil.test'],
    ['references', '<a@b>\nBcc: eve@evil.test'],
    ['to_name', 'Ada" <ada@buyer.test>, "Eve" <eve@evil.test>, "'],
    ['to_name', 'Ada\\'],
  ] as const)('lets no %s of %j add a header or a recipient', async (field, value) => {
    const scene = await arrange()
    const { world, org, fake, send_id, deliver } = scene
    if (field === 'from_name') {
      const owner = await org.as('owner')
      expect(
        (
          await world.request('PATCH', '/api/v1/organization', {
            token: owner.token,
            body: { from_name: value },
          })
        ).status,
      ).toBe(400)
    } else {
      const set = field === 'references' ? { references: [value] } : { [field]: value }
      await world.sql(q.update(sends).set(set).where(eq(sends.id, send_id)))
    }
    await deliver()
    expect(fake.accepted).toHaveLength(1)
    const [mail] = fake.accepted
    const { to_email } = await readSend(world, send_id)
    expect(mail?.To.endsWith(`" <${to_email}>`)).toBe(true)
    const { TextBody: _body, ...rest } = mail ?? { TextBody: '' }
    expect(JSON.stringify(rest)).not.toMatch(/\\[rn]/)
    // Quoted strings are one token to whoever splits at commas.
    expect(mail?.To.replace(/"(?:[^"\\]|\\.)*"/g, '').match(/@/g)).toHaveLength(1)
  })

  it('over its size is refused here, and no other one waits for it', async () => {
    const scene = await arrange()
    await scene.world.sql(
      q.update(sends).set({ text: sql`repeat('ä', 6000000)` }).where(eq(sends.id, scene.send_id)),
    )
    await scene.deliver()
    expect(await outcomeOf(scene)).toEqual({
      state: 'failed',
      waits_because: null,
      attempts: 1,
      error: 'too_large',
      suppressed: [],
      accepted: 0,
    })
    expect(scene.fake.calls).toBe(0)
  })
})

const same = { waits_because: null, attempts: 1, suppressed: [] as string[] }
describe('an answer of Postmark', () => {
  it.each([
    [{ ErrorCode: 300, Message: "Invalid 'To' address" }, 'mail_refused'],
    [{ ErrorCode: 300, Message: "Invalid 'To' address: 'zoë.from@buyer.test'." }, 'mail_refused'],
    [{ ErrorCode: 300, Message: "Error parsing 'To': Illegal email domain 'from.test'." }, 'mail_refused'],
    [{ ErrorCode: 402 }, 'mail_refused'],
    [{ ErrorCode: 1235 }, 'mail_refused'],
  ] as const)('%j fails this mail, and suppresses nobody', async (mood, error) => {
    const scene = await arrange()
    scene.fake.mood = mood
    await scene.deliver()
    expect(await outcomeOf(scene)).toEqual({ ...same, state: 'failed', error, accepted: 0 })
  })

  it('that the recipient is inactive fails the mail and keeps the address from the next one', async () => {
    const scene = await arrange()
    scene.fake.inactive.add((await readSend(scene.world, scene.send_id)).to_email)
    await scene.deliver()
    expect(await outcomeOf(scene)).toEqual({
      ...same,
      state: 'failed',
      error: 'bad_recipient',
      suppressed: ['bad_recipient'],
      accepted: 0,
    })
  })

  it.each(['throttled', { ErrorCode: 429, status: 429 }] as const)(
    '%j asks to wait and burns no attempt',
    async (mood) => {
      const scene = await arrange()
      scene.fake.mood = mood
      await scene.deliver()
      expect(await outcomeOf(scene)).toEqual({
        ...same,
        attempts: 0,
        waits_because: 'rate_limited',
        state: 'scheduled',
        error: 'rate_limited',
        accepted: 0,
      })
    },
  )

  it.each([
    ['lost_response', 1],
    ['lost_request', 0],
    ['down', 0],
    ['down_but_took_it', 1],
    ['garbage', 1],
    ['nameless', 1],
  ] as const)(
    '%s proves nothing: it is asked when it must know, and the mail is there once',
    async (mood, accepted) => {
      const scene = await arrange()
      scene.fake.mood = mood
      await scene.deliver()
      expect(await outcomeOf(scene)).toMatchObject({ state: 'unknown', attempts: 1, accepted })
      scene.fake.mood = 'well'
      await scene.deliver(scene.send_id, 5)
      await scene.reconcile(5)
      expect(await outcomeOf(scene)).toMatchObject({ state: 'unknown', accepted })
      await scene.reconcile(21)
      await scene.deliver(scene.send_id, 22)
      expect(await outcomeOf(scene)).toMatchObject({ state: 'sent', accepted: 1 })
      expect((await readSend(scene.world, scene.send_id)).provider_message_id).toBe(
        scene.fake.accepted[0]?.MessageID,
      )
    },
  )

  it.each(['down', 'throttled', 'garbage', 'refused', 'ignores_the_filter', 'miscounts'] as const)(
    'to the search, %s, is no proof that it has not left',
    async (search) => {
      const scene = await arrange()
      const before = await scene.another()
      await scene.deliver(before)
      scene.fake.mood = 'lost_response'
      await scene.deliver()
      scene.fake.search = search
      if (search === 'ignores_the_filter') scene.fake.lag = 1
      await scene.reconcile(21)
      expect(await outcomeOf(scene)).toMatchObject({ state: 'unknown', accepted: 2 })
      scene.fake.search = 'well'
      scene.fake.lag = 0
      await scene.reconcile(30)
      expect(await outcomeOf(scene)).toMatchObject({ state: 'sent', accepted: 2 })
    },
  )

  it('that never comes to the search is a person to judge after a day', async () => {
    const scene = await arrange()
    scene.fake.mood = 'lost_response'
    await scene.deliver()
    scene.fake.search = 'down'
    await scene.reconcile(25 * 60)
    expect(await outcomeOf(scene)).toMatchObject({ state: 'review', accepted: 1 })
  })
})

describe('an account that Postmark refuses', () => {
  it.each([
    [{ ErrorCode: 10, status: 401 }, 'account_refused'],
    [{ ErrorCode: 400 }, 'account_refused'],
    [{ ErrorCode: 401 }, 'account_refused'],
    [{ ErrorCode: 405 }, 'account_refused'],
    [{ ErrorCode: 412 }, 'account_refused'],
    [{ ErrorCode: 413 }, 'account_refused'],
    [
      {
        ErrorCode: 300,
        Message: "Invalid 'From' address: 'hello@inlet.test' is not a verified sender signature.",
      },
      'sender_refused',
    ],
    ['elsewhere', 'unexpected_answer'],
    ['redirects', 'unexpected_answer'],
  ] as const)('with %j pauses the transport and fails no mail', async (mood, error) => {
    const scene = await arrange()
    scene.fake.mood = mood
    await scene.deliver()
    expect(await outcomeOf(scene)).toEqual({
      ...same,
      state: 'scheduled',
      waits_because: 'transport_paused',
      attempts: 0,
      error,
      accepted: 0,
    })
  })

  it('is tried by one send when the pause is over, for longer each time, and all leave when it is well', async () => {
    const scene = await arrange()
    const { world, org, fake, deliver } = scene
    const ids = [scene.send_id, await scene.another(), await scene.another()]
    fake.mood = { ErrorCode: 412 }
    const began = world.clock.now()
    const pauseEnd = async () => {
      const [[pause]] = await world.sql(q.select().from(transport_pauses))
      return pause ? Math.round((pause.paused_until.getTime() - began.getTime()) / 60_000) : null
    }
    const tryAll = async (minutes: number) => {
      const before = fake.calls
      for (const id of ids) await deliver(id, minutes)
      return { calls: fake.calls - before, paused_until: await pauseEnd() }
    }
    expect(await tryAll(0)).toEqual({ calls: 1, paused_until: 1 })
    expect(await tryAll(0.5)).toEqual({ calls: 0, paused_until: 1 })
    expect(await tryAll(2)).toEqual({ calls: 1, paused_until: 7 })
    expect(await tryAll(6)).toEqual({ calls: 0, paused_until: 7 })
    expect(await tryAll(8)).toEqual({ calls: 1, paused_until: 23 })
    expect(await tryAll(24)).toEqual({ calls: 1, paused_until: 39 })
    fake.mood = 'well'
    await tryAll(40)
    expect(await pauseEnd()).toBeNull()
    await tryAll(43)
    const [rows] = await world.sql(
      q.select({ state: sends.state, attempts: sends.attempts }).from(sends).where(inArray(sends.id, ids)),
    )
    expect(rows).toEqual(ids.map(() => ({ state: 'sent', attempts: 1 })))
    expect(new Set(fake.accepted.map(({ Metadata }) => Metadata['send_id']))).toEqual(new Set(ids))
    expect(fake.accepted).toHaveLength(ids.length)
    expect(fake.accepted.every(({ Metadata }) => Metadata['org_id'] === org.id)).toBe(true)
  })

  it('is not kept paused by one mail that is refused so for itself: the next try is another one’s', async () => {
    const scene = await arrange()
    const other = await scene.another()
    scene.fake.mood = { ErrorCode: 405 }
    await scene.deliver()
    await scene.deliver(other)
    scene.fake.mood = 'well'
    // Just after the pause, whichever the queue brings first.
    for (const id of [scene.send_id, other]) await scene.deliver(id, 1.5)
    expect(scene.fake.accepted.map(({ Metadata }) => Metadata['send_id'])).toEqual([other])
    const [pauses] = await scene.world.sql(q.select().from(transport_pauses))
    expect(pauses).toEqual([])
  })

  it('stays paused while the one that tries has no answer, and the next one tries', async () => {
    const scene = await arrange()
    const { fake, deliver } = scene
    const other = await scene.another()
    fake.mood = { ErrorCode: 412 }
    await deliver()
    fake.mood = 'lost_request'
    await deliver(scene.send_id, 2)
    await deliver(other, 3)
    expect(fake.calls).toBe(2)
    fake.mood = 'well'
    await deliver(other, 5)
    expect(fake.accepted.map(({ Metadata }) => Metadata['send_id'])).toEqual([other])
    expect((await readSend(scene.world, other)).state).toBe('sent')
  })

  it('is well again also when it refuses the recipient of the one that tries', async () => {
    const scene = await arrange()
    scene.fake.mood = { ErrorCode: 405 }
    await scene.deliver()
    scene.fake.mood = 'well'
    scene.fake.inactive.add((await readSend(scene.world, scene.send_id)).to_email)
    await scene.deliver(scene.send_id, 2)
    const [pauses] = await scene.world.sql(q.select().from(transport_pauses))
    expect({ state: (await readSend(scene.world, scene.send_id)).state, pauses }).toEqual({
      state: 'failed',
      pauses: [],
    })
  })

  it('holds up neither another transport nor, for longer, many that failed at the same moment', async () => {
    const scene = await arrange()
    const others = await Promise.all([1, 2, 3, 4].map(() => scene.another()))
    scene.fake.mood = { ErrorCode: 412 }
    await Promise.all([scene.send_id, ...others].map((id) => scene.deliver(id)))
    const [[pause]] = await scene.world.sql(q.select().from(transport_pauses))
    expect(pause).toEqual({
      transport: 'postmark',
      paused_until: expect.any(Date),
      paused_at: expect.any(Date),
      failure: { code: 'account_refused', message: expect.not.stringContaining('@') },
    })
    expect((pause?.paused_until.getTime() ?? 0) - (pause?.paused_at.getTime() ?? 0)).toBe(60_000)
    const local = createWorld()
    const reply = await arrangeReply(local, scene.org, { automatic: false })
    await deliverSend.run(local.ctx(), { org_id: scene.org.id, send_id: reply.send_id })
    expect((await readSend(local, reply.send_id)).state).toBe('sent')
  })

  it('is shown to everybody who looks, without a secret', async () => {
    const scene = await arrange()
    scene.fake.mood = { ErrorCode: 413 }
    await scene.deliver()
    const { body } = await read<{ paused_transports: unknown }>(
      await scene.world.request('GET', '/health/providers'),
    )
    expect(body.paused_transports).toEqual([
      {
        transport: 'postmark',
        code: 'account_refused',
        message: 'Postmark refuses the account or the sender (HTTP 422, ErrorCode 413).',
        paused_at: expect.any(String),
        next_try_at: expect.any(String),
      },
    ])
    const { token } = await scene.org.as('agent')
    const { body: send } = await read(
      await scene.world.request('GET', `/api/v1/sends/${scene.send_id}`, { token }),
    )
    expect(send).toMatchObject({
      state: 'scheduled',
      waits_because: 'transport_paused',
      last_error: { code: 'account_refused' },
    })
  })
})

it('lets mails wait while its settings are absent, and names them', async () => {
  const scene = await arrange({ POSTMARK_SERVER_TOKEN: '' })
  await scene.deliver()
  const send = await readSend(scene.world, scene.send_id)
  expect({
    state: send.state,
    attempts: send.attempts,
    waits_because: send.waits_because,
    error: send.last_error,
  }).toEqual({
    state: 'scheduled',
    attempts: 0,
    waits_because: 'transport_paused',
    error: {
      code: 'not_configured',
      message: 'This needs the settings POSTMARK_SERVER_TOKEN.',
      at: expect.any(String),
    },
  })
  const { body } = await read<{ providers: { name: string }[] }>(
    await scene.world.request('GET', '/health/providers'),
  )
  expect(body.providers.find(({ name }) => name === 'postmark')).toEqual({
    name: 'postmark',
    configured: false,
    missing: ['POSTMARK_SERVER_TOKEN'],
  })
  expect(scene.fake.calls).toBe(0)
})

it('does not ask about a mail whose run died before it called anybody', async () => {
  const scene = await arrange()
  const { world, send_id, fake } = scene
  await world.sql(
    q
      .update(sends)
      .set({
        state: 'unknown',
        claim_token: world.ctx().newId(),
        send_started_at: world.clock.now(),
        next_attempt_at: world.clock.now(),
        attempts: 1,
      })
      .where(eq(sends.id, send_id)),
  )
  await scene.reconcile(21)
  expect({ state: (await readSend(world, send_id)).state, calls: fake.calls }).toEqual({
    state: 'scheduled',
    calls: 0,
  })
  const [[conversation]] = await world.sql(
    q.select({ id: conversations.id }).from(conversations).where(eq(conversations.org_id, scene.org.id)),
  )
  expect(conversation).toBeDefined()
})

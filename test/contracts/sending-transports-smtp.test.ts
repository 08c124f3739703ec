// A mail as an SMTP server gets it: one recipient, its own headers, the login and the size that the server asks for.
import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { sends, transport_pauses } from '#db/schema/sending'
import { deliverSend, reconcileSend } from '#features/sending'
import { withoutDatabase } from '#test/outage'
import { arrangeReply, readSend } from '#test/sends'
import { listenSmtp } from '#test/smtp'
import { createWorld, read } from '#test/world'
import { SMTP_PASSWORD, SMTP_USER, type SmtpScenario } from '../support/smtp-scenario'

const unpause = async () => {
  await createWorld().sql(q.delete(transport_pauses))
}
beforeEach(unpause)
afterEach(unpause)

async function arrange(
  scenario: SmtpScenario = {},
  given: Parameters<typeof arrangeReply>[2] = {},
  settings = {},
) {
  const server = await listenSmtp(scenario)
  const world = createWorld({
    MAIL_TRANSPORT: 'smtp',
    FROM_EMAIL: 'hello@inlet.test',
    INBOUND_EMAIL_DOMAIN: 'in.inlet.test',
    SMTP_HOST: '127.0.0.1',
    SMTP_PORT: String(server.port),
    SMTP_TLS: 'off',
    ...(scenario.auth ? { SMTP_USER, SMTP_PASSWORD } : {}),
    ...settings,
  })
  const org = await world.organization({ from_name: 'Zoë & Co' })
  const { send_id } = await arrangeReply(world, org, { automatic: false, ...given })
  const deliver = async () => {
    await deliverSend.run(world.ctx(), { org_id: org.id, send_id })
    return readSend(world, send_id)
  }
  return { server, world, org, send_id, deliver }
}

/** Unfolded. */
function headersOf(raw: string): string[] {
  return (raw.split('\r\n\r\n')[0] ?? '').replace(/\r\n[ \t]+/g, ' ').split('\r\n')
}

describe('a mail by SMTP', () => {
  it('arrives as it was made, to one recipient, with where answers go', async () => {
    const { server, send_id, deliver } = await arrange(
      {},
      { automatic: true, text: 'Hello\n.\n..\nQUIT\n.end' },
    )
    const send = await deliver()
    expect({ state: send.state, provider_message_id: send.provider_message_id }).toEqual({
      state: 'sent',
      provider_message_id: null,
    })
    const [mail, ...more] = await server.mails()
    expect(more).toEqual([])
    expect({ from: mail?.from, to: mail?.to }).toEqual({ from: 'hello@inlet.test', to: [send.to_email] })
    const headers = headersOf(mail?.raw ?? '')
    expect(headers).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^From: =\?UTF-8\?.*\?= <hello@inlet\.test>$/),
        `To: Ada <${send.to_email}>`,
        expect.stringMatching(/^Reply-To: reply\+[a-z2-7]+@in\.inlet\.test$/),
        'Subject: Re: Pricing?',
        `Message-ID: ${send.message_id}`,
        `In-Reply-To: ${send.in_reply_to}`,
        `References: ${send.references.join(' ')}`,
        `X-Inlet-Send-Id: ${send_id}`,
        'Auto-Submitted: auto-replied',
      ]),
    )
    expect(mail?.raw.split('\r\n\r\n')[1]).toBe('Hello\r\n.\r\n..\r\nQUIT\r\n.end\r\n')
  })

  it.each([
    ['to_name', 'Ada\r\nBcc: eve@evil.test'],
    ['subject', 'Hello\r\nBcc: eve@evil.test\r\n\r\nbody'],
    ['in_reply_to', '<a@b>\r\nBcc: eve@evil.test'],
    ['message_id', '<a@b>\r\nBcc: eve@evil.test'],
  ] as const)('gets no header out of a %s of %j', async (field, value) => {
    const { server, world, send_id, deliver } = await arrange()
    await world.sql(
      q
        .update(sends)
        .set({ [field]: value })
        .where(eq(sends.id, send_id)),
    )
    const send = await deliver()
    const [mail] = await server.mails()
    expect(mail?.to).toEqual([send.to_email])
    expect(headersOf(mail?.raw ?? '').filter((line) => /^bcc/i.test(line))).toEqual([])
  })

  it.each([
    'ada@buyer.test>\r\nRCPT TO:<eve@evil.test',
    'ada@buyer.test> NOTIFY=NEVER',
    'ada@buyer.test\r\nDATA',
  ])('gets no command out of the address %j', async (to_email) => {
    const { server, world, send_id, deliver } = await arrange()
    await world.sql(q.update(sends).set({ to_email }).where(eq(sends.id, send_id)))
    expect(await deliver()).toMatchObject({ state: 'failed', last_error: { code: 'bad_recipient' } })
    expect(await server.mails()).toEqual([])
  })

  it('larger than the server takes fails by itself, without a word of it having been sent', async () => {
    const { server, deliver } = await arrange({ size: 200 })
    expect(await deliver()).toMatchObject({ state: 'failed', last_error: { code: 'too_large' } })
    expect(await server.mails()).toEqual([])
  })

  it('goes to an address beyond ASCII where the server can', async () => {
    const { server, deliver } = await arrange({}, { email: 'zoë@buyer.test' })
    expect((await deliver()).state).toBe('sent')
    const [mail] = await server.mails()
    expect({ to: mail?.to, utf8: mail?.parameters }).toEqual({
      to: ['zoë@buyer.test'],
      utf8: expect.objectContaining({ SMTPUTF8: true }),
    })
  })

  it.each([['PLAIN'], ['LOGIN'], ['CRAM-MD5', 'LOGIN']] as const)(
    'logs in by what the server offers: %s %s',
    async (...auth) => {
      const { server, deliver } = await arrange({ auth: [...auth] as SmtpScenario['auth'] & object })
      expect((await deliver()).state).toBe('sent')
      expect((await server.mails()).map(({ user }) => user)).toEqual([SMTP_USER])
    },
  )

  it('waits where the server offers no login that is known here', async () => {
    const { deliver } = await arrange({ auth: ['CRAM-MD5'] })
    expect(await deliver()).toMatchObject({
      state: 'scheduled',
      waits_because: 'transport_paused',
      attempts: 0,
      last_error: { code: 'smtp_no_login' },
    })
  })

  it('waits while its settings are absent, and names them', async () => {
    const { world, deliver } = await arrange({}, {}, { SMTP_HOST: '' })
    expect(await deliver()).toMatchObject({
      state: 'scheduled',
      attempts: 0,
      last_error: { code: 'not_configured', message: 'This needs the settings SMTP_HOST.' },
    })
    const { body } = await read<{ providers: { name: string }[]; paused_transports: { code: string }[] }>(
      await world.request('GET', '/health/providers'),
    )
    expect(body.providers.find(({ name }) => name === 'smtp')).toEqual({
      name: 'smtp',
      configured: false,
      missing: ['SMTP_HOST'],
    })
    expect(body.paused_transports.map(({ code }) => code)).toEqual(['not_configured'])
    await withoutDatabase(world, async () => {
      const down = await read(await world.request('GET', '/health/providers'))
      expect({ status: down.status, paused: down.body['paused_transports'] }).toEqual({
        status: 200,
        paused: null,
      })
    })
  })
})

it('asks no person about a mail whose run died before it called the server', async () => {
  const { world, org, send_id, deliver, server } = await arrange()
  const claim_token = world.ctx().newId()
  const died = {
    state: 'unknown',
    claim_token,
    send_started_at: world.clock.now(),
    next_attempt_at: world.clock.now(),
    attempts: 1,
  } as const
  await world.sql(q.update(sends).set(died).where(eq(sends.id, send_id)))
  world.clock.advance(21 * 60)
  await reconcileSend.run(world.ctx(), { org_id: org.id, send_id })
  expect((await deliver()).state).toBe('sent')
  expect((await server.mails()).length).toBe(1)
})

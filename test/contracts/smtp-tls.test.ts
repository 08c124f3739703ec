// TLS as an SMTP server of the real world shows it: a chain of certificates, and what must not be trusted.
import { connect } from 'cloudflare:sockets'
import { describe, expect, it } from 'vitest'
import { listenSmtp } from '#test/smtp'
import { SMTP_PASSWORD, SMTP_USER, type SmtpScenario } from '../support/smtp-scenario'
import { sendBySmtp } from '../../src/features/sending/transports/smtp-client'

const LIMITS = { reply_ms: 4000, session_ms: 8000, dot_ms: 4000 }
const MAIL = {
  send_id: '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11',
  from: 'shop@inlet.test',
  to: 'ada@buyer.test',
  raw: new TextEncoder().encode('Subject: Hello\r\n\r\nTen seats cost 90.\r\n'),
}

async function send(scenario: SmtpScenario, tls: 'implicit' | 'starttls' | 'off') {
  const server = await listenSmtp(scenario)
  const login = { user: SMTP_USER, password: SMTP_PASSWORD }
  const outcome = await sendBySmtp(
    connect,
    { host: 'localhost', port: server.port, tls, login, name: 'inlet.test' },
    MAIL,
    LIMITS,
  )
  return { outcome, mails: await server.mails() }
}

describe.each(['implicit', 'starttls'] as const)('%s TLS', (tls) => {
  it('delivers over a chain that ends at a root that is trusted', async () => {
    const { outcome, mails } = await send({ tls, auth: ['PLAIN', 'LOGIN'] }, tls)
    expect(outcome).toEqual({ outcome: 'accepted' })
    expect(mails.map(({ user, secure }) => ({ user, secure }))).toEqual([{ user: SMTP_USER, secure: true }])
  })

  it.each(['expired', 'wrong_host', 'unknown_ca'] as const)(
    'gives neither login nor mail to a server whose certificate is %s',
    async (certificate) => {
      const { outcome, mails } = await send({ tls, certificate, auth: ['PLAIN'] }, tls)
      expect(outcome).toMatchObject({ outcome: 'refused', failure: { kind: 'auth' } })
      expect(mails).toEqual([])
    },
  )
})

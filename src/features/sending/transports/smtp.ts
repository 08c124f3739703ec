// Any SMTP server. It knows no idempotency key and cannot be asked later: what broke off after the final dot is a person's to judge.
import { connect as connectSocket } from 'cloudflare:sockets'
import { type Failure, fail, succeed } from '#kernel/failure'
import type { Ctx } from '#platform/context'
import { composeMail, senderOf } from '../policy/outgoing-mail'
import { hasBegun, takeMail } from '../service/begin-delivery'
import type { Transport } from './contract'
import { type Connect, sendBySmtp, type SmtpLimits, smtpLimits } from './smtp-client'

export function smtpTransport(connect: Connect = connectSocket, limits: SmtpLimits = smtpLimits): Transport {
  return {
    name: 'smtp',
    carries: ['cold', 'opted_in', 'transactional'],

    prepare: async ({ config }) => {
      const failure = missing(config)
      return failure ? { ok: false, failure } : succeed({ provider_draft_id: null, provider_thread_id: null })
    },

    deliver: async (ctx, send) => {
      const failure = missing(ctx.config)
      if (failure) return { outcome: 'refused', failure }
      const taken = await takeMail(ctx, send)
      if (!taken.ok) return taken.delivery
      const { mail } = taken
      const from = mail.from_email ?? senderOf(ctx.config)
      const raw = await composeMail(mail, from, ctx.clock.now())
      const sent = await sendBySmtp(
        connect,
        serverOf(ctx.config),
        { send_id: send.id, from, to: mail.to_email, raw },
        limits,
      )
      // It keeps our Message-ID and tells no id of its own that would mean anything to us.
      return sent.outcome === 'accepted' ? { outcome: 'accepted', message: null } : sent
    },

    reconcile: async (_ctx, send) => (hasBegun(send) ? { outcome: 'inconclusive' } : { outcome: 'not_sent' }),

    discard: async () => succeed(null),
  }
}

export const smtp = smtpTransport()

type Config = Ctx['config']

function missing(config: Config): Failure | null {
  const names = (['SMTP_HOST', 'FROM_EMAIL'] as const).filter((name) => config[name] === undefined)
  if (names.length === 0) return null
  return fail('auth', 'not_configured', `This needs the settings ${names.join(', ')}.`).failure
}

function serverOf(config: Config) {
  const { SMTP_HOST: host = '', SMTP_PORT: port, SMTP_TLS: tls, SMTP_USER: user } = config
  const login = user === undefined ? null : { user, password: config.SMTP_PASSWORD ?? '' }
  const name = new URL(config.BASE_URL).hostname
  // RFC 5321 §4.1.3: an address is written as a literal.
  const literal = /^[\d.]+$/.test(name) ? `[${name}]` : name.replace(/^\[(.*)\]$/, '[IPv6:$1]')
  return { host, port, tls, login, name: literal }
}

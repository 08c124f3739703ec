// Part 2: what each hot route says of itself in Server-Timing. Counts do not move with the machine.
import { randomUUID } from 'node:crypto'
import { query, type Services } from './services.ts'
import { COUNTER } from './load/template.ts'
import type { Workerd } from './workerd.ts'
import { LEAD_BODY, signIn, SLUG, type World } from './world.ts'

export interface RoundTripRow {
  route: string
  status: number
  /** Null when the route is not there. */
  round_trips: number | null
  milliseconds: number | null
  budget: number
  kept: boolean | null
}

interface Probe {
  route: string
  budget: number
  path: string
  method?: string
  token?: string
  body?: string
  headers?: Record<string, string>
}

export async function measureRoundTrips({
  services,
  world,
  workerd,
}: {
  services: Services
  world: World
  workerd: Workerd
}): Promise<RoundTripRow[]> {
  const token = await signIn(workerd.port, world.reader.email)
  const probes = await probesOf(services, world, token)
  const rows: RoundTripRow[] = []
  for (const probe of probes) {
    // The first answer may have fetched what the others find: keys, say.
    await ask(workerd, probe)
    rows.push(await ask(workerd, probe))
  }
  return rows
}

async function probesOf(services: Services, world: World, token: string): Promise<Probe[]> {
  const mailbox = `mailbox.${randomUUID()}@bench.test`
  await query(
    world.database.superuserUrl,
    `insert into mailboxes (org_id, id, provider, account_subject, email, email_norm, status)
     values ($1, $2, 'google', $3, $3, $3, 'connected')`,
    [world.intake.org_id, randomUUID(), mailbox],
  )
  const push = async (email: string) => ({
    method: 'POST',
    path: `/webhooks/gmail/push?token=${encodeURIComponent(world.env['GMAIL_WEBHOOK_SECRET'] ?? '')}`,
    token: await world.recorder.signPush({
      audience: world.env['GOOGLE_PUBSUB_AUDIENCE'] ?? '',
      email: world.env['GOOGLE_PUBSUB_SERVICE_ACCOUNT'] ?? '',
    }),
    body: JSON.stringify({
      message: {
        data: Buffer.from(JSON.stringify({ emailAddress: email, historyId: '1' })).toString('base64url'),
        messageId: '1',
      },
      subscription: 'projects/bench/subscriptions/push',
    }),
  })
  const lead = `/api/v1/leads/${world.reader.lead_id}`
  return [
    {
      route: 'POST /inbound/leads',
      budget: 1,
      method: 'POST',
      path: '/inbound/leads',
      body: LEAD_BODY,
      token: world.intake.site_token,
    },
    {
      route: 'POST /inbound/leads, forged token',
      budget: 0,
      method: 'POST',
      path: '/inbound/leads',
      body: LEAD_BODY,
      token: `${world.intake.site_token.slice(0, -4)}AAAA`,
    },
    { route: 'POST /lead/{slug}', budget: 1, method: 'POST', path: `/lead/${SLUG}`, body: LEAD_BODY },
    { route: 'GET /f/{slug}', budget: 1, path: `/f/${SLUG}` },
    {
      route: 'POST /webhooks/{channel}',
      budget: 1,
      method: 'POST',
      path: '/api/v1/webhooks/whatsapp',
      body: JSON.stringify({ message_id: COUNTER, from: '+442079460018', body: 'What do 10 seats cost?' }),
      token: world.intake.site_token,
    },
    { route: 'POST /webhooks/postmark/inbound', budget: 1, ...postmarkMail(world.env) },
    { route: 'GET /leads?limit=50', budget: 1, path: '/api/v1/leads?limit=50', token },
    { route: 'GET /leads/{id}', budget: 1, path: lead, token },
    { route: 'GET /dashboard/metrics', budget: 1, path: '/api/v1/dashboard/metrics', token },
    { route: 'POST /webhooks/gmail/push, known mailbox', budget: 1, ...(await push(mailbox)) },
    { route: 'POST /webhooks/gmail/push, unknown', budget: 1, ...(await push('nobody@bench.test')) },
    { route: 'POST /webhooks/gmail/push, unsigned', budget: 0, ...(await push(mailbox)), token: 'a.b.c' },
    { route: 'GET /leads, no token', budget: 0, path: '/api/v1/leads' },
    {
      route: 'GET /leads, forged token',
      budget: 0,
      path: '/api/v1/leads',
      token: `${token.slice(0, -4)}AAAA`,
    },
    { route: 'GET /no-such-route', budget: 0, path: '/api/v1/no-such-route', token },
    { route: 'GET /leads/{unknown id}', budget: 1, path: `/api/v1/leads/${randomUUID()}`, token },
    { route: 'GET /openapi.json', budget: 0, path: '/openapi.json' },
  ]
}

function postmarkMail(env: Record<string, string>): Omit<Probe, 'route' | 'budget'> {
  const login = Buffer.from(`${env['WEBHOOK_USERNAME']}:${env['WEBHOOK_PASSWORD']}`).toString('base64')
  return {
    method: 'POST',
    path: '/api/webhooks/postmark/inbound',
    headers: { authorization: `Basic ${login}` },
    body: JSON.stringify({
      MessageID: COUNTER,
      FromFull: { Email: `ada.${COUNTER}@buyer.test`, Name: 'Ada' },
      OriginalRecipient: `${SLUG}@${env['INBOUND_EMAIL_DOMAIN']}`,
      Subject: 'Ten seats',
      TextBody: 'What do 10 seats cost?',
      Headers: [{ Name: 'Message-ID', Value: `<${COUNTER}@buyer.test>` }],
    }),
  }
}

async function ask({ port }: Workerd, probe: Probe): Promise<RoundTripRow> {
  const response = await fetch(`http://127.0.0.1:${port}${probe.path}`, {
    method: probe.method ?? 'GET',
    headers: {
      ...(probe.token === undefined ? {} : { authorization: `Bearer ${probe.token}` }),
      ...(probe.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...probe.headers,
    },
    // A lead of its own each time: the same one again is another path.
    ...(probe.body === undefined
      ? {}
      : { body: probe.body.replaceAll(COUNTER, `bench-${randomUUID().slice(24)}`) }),
  })
  const text = await response.text()
  const timing = response.headers.get('server-timing') ?? ''
  const [, milliseconds, count] = /\bdb;dur=([\d.]+);desc="(\d+)"/.exec(timing) ?? []
  // The product answers so for what it does not have; a lead that does not exist is another 404.
  const absent = response.status === 404 && text.includes('no such route') && probe.budget > 0
  const round_trips = absent || count === undefined ? null : Number(count)
  return {
    route: probe.route,
    status: response.status,
    round_trips,
    milliseconds: round_trips === null ? null : Number(milliseconds),
    budget: probe.budget,
    kept: round_trips === null ? null : round_trips <= probe.budget,
  }
}

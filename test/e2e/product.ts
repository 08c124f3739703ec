// What people and providers do with a running stack: sign in, deliver mail, look into the mailbox and the inbox.
import pg from 'pg'
import { caller } from '../../scripts/stack/seed.ts'
import type { Delivery } from '../../scripts/stack/emulators/google/mail.ts'
import type { Stack } from './stack.ts'

export interface StoredMail {
  gmail_id: string
  thread_id: string
  label_ids: string[]
  message_id: string
  subject: string
  to: string
  in_reply_to: string | null
  references: string | null
  raw: string
}

export interface Lead {
  id: string
  status: string
  contact: { email: string }
}

export interface Send {
  id: string
  kind: string
  state: string
  to: string
  attempts: number
  waits_because: string | null
  skip_reason: string | null
  last_error: { code: string; message: string } | null
  next_attempt_at: string
  sent_at: string | null
}

export interface MailboxConnection {
  id: string
  email: string
  status: string
  push: string
  gaps: { detected_at: string; closed_at: string | null; recovered: number }[]
  last_error: { code: string } | null
}

export type Stats = Record<string, Record<string, number>>

export class Product {
  readonly #stack: Stack
  readonly #superuserUrl: string | undefined
  readonly #tokens = new Map<string, string>()
  #polledAsOf = 0

  /** `superuserUrl` where the stack runs on a Postgres of the test's own. */
  constructor(stack: Stack, superuserUrl?: string) {
    this.#stack = stack
    this.#superuserUrl = superuserUrl
  }

  // ── signed in ──

  /** As the demo user. */
  async get<T>(path: string): Promise<T> {
    return await this.#call<T>('user', `/api/v1${path}`)
  }

  async post<T>(path: string, body: unknown = {}): Promise<T> {
    return await this.#call<T>('user', `/api/v1${path}`, 'POST', body)
  }

  /** As the operator. */
  async operator<T>(path: string, method = 'GET', body?: unknown): Promise<T> {
    return await this.#call<T>('operator', path, method, body)
  }

  async #call<T>(who: 'user' | 'operator', path: string, method = 'GET', body?: unknown): Promise<T> {
    const call = caller(this.#stack.api)
    const ask = async () => await call(path, { method, token: await this.#tokenOf(who), body })
    let answer = await ask()
    if (answer.status === 401) {
      this.#tokens.delete(who)
      answer = await ask()
    }
    if (answer.status >= 300) {
      throw new Error(`${method} ${path} answered ${answer.status} ${JSON.stringify(answer.json)}`)
    }
    return answer.json as T
  }

  async #tokenOf(who: 'user' | 'operator'): Promise<string> {
    const known = this.#tokens.get(who)
    if (known !== undefined) return known
    const { operator, demo } = this.#stack.local
    const [path, body] =
      who === 'operator'
        ? ['/admin/login', operator]
        : ['/api/v1/auth/login', { email: demo.email, password: demo.password }]
    const { json } = await caller(this.#stack.api)(path, { method: 'POST', body, expect: [200] })
    const token = String(json['access_token'])
    this.#tokens.set(who, token)
    return token
  }

  async organizationId(): Promise<string> {
    const { data } = await this.operator<{ data: { id: string; slug: string }[] }>('/admin/clients')
    const demo = data.find(({ slug }) => slug === this.#stack.local.demo.slug)
    if (!demo) throw new Error('there is no demo organization')
    return demo.id
  }

  async setOrganization(settings: Record<string, unknown>): Promise<void> {
    await this.operator(`/admin/clients/${await this.organizationId()}`, 'PATCH', settings)
  }

  async connections(): Promise<MailboxConnection[]> {
    const path = `/admin/clients/${await this.organizationId()}/connection-status`
    return (await this.operator<{ mailboxes: MailboxConnection[] }>(path)).mailboxes
  }

  /** The operator's route, then the consent without a page, then the way back. Answers the callback's page. */
  async connect(
    email: string,
    body: { mailbox_id?: string } = {},
  ): Promise<{ status: number; page: string }> {
    const { authorization_url } = await this.operator<{ authorization_url: string }>(
      `/admin/clients/${await this.organizationId()}/connect/google`,
      'POST',
      body,
    )
    const authorization = new URL(authorization_url)
    const consented = await fetch(`${authorization.origin}/o/oauth2/v2/auth/callback`, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams([...authorization.searchParams, ['email', email]]),
    })
    const back = await fetch(consented.headers.get('location') ?? '', { redirect: 'manual' })
    return { status: back.status, page: await back.text() }
  }

  /** Asks the provider now, and waits until it is done. */
  async sync(): Promise<{ ingested: number; known: number; dead: number; recovered_gap: boolean }> {
    const { data } = await this.get<{ data: { id: string; email: string }[] }>('/mailboxes')
    const mailbox = data.find(({ email }) => email === this.#stack.local.demo.mailbox)
    if (!mailbox) throw new Error('the demo mailbox is not connected')
    return await this.post(`/mailboxes/${mailbox.id}/sync`)
  }

  // ── what became of mail ──

  async leads(): Promise<Lead[]> {
    return await this.#all<Lead>('/leads?limit=200')
  }

  async sends(): Promise<Send[]> {
    return await this.#all<Send>('/sends?limit=200')
  }

  async #all<T>(path: string): Promise<T[]> {
    const rows: T[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: { data: T[]; next_cursor: string | null } = await this.get(
        cursor === '' ? path : `${path}&cursor=${encodeURIComponent(cursor)}`,
      )
      rows.push(...page.data)
      cursor = page.next_cursor
    }
    return rows
  }

  async slack(): Promise<string[]> {
    const response = await fetch(`${this.#stack.local.urls.slack}/_shim/messages`)
    const { messages } = (await response.json()) as { messages: { text: string }[] }
    return messages.map(({ text }) => text)
  }

  // ── the emulated Google ──

  async deliver(mail: Partial<Delivery>): Promise<{ id: string; threadId: string; historyId: string }> {
    return await this.google('deliver', { to: this.#stack.local.demo.mailbox, ...mail })
  }

  async google<T>(control: string, body: unknown = {}): Promise<T> {
    const response = await fetch(`${this.#stack.local.urls.google}/_shim/${control}`, {
      method: 'POST',
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    })
    const answer = (await response.json()) as T & { error?: string }
    if (answer.error) throw new Error(answer.error)
    return answer
  }

  /** No faults any more, and the counting begins anew. */
  async resetShim(): Promise<void> {
    for (const what of ['faults', 'stats']) {
      await fetch(`${this.#stack.local.urls.google}/_shim/${what}`, { method: 'DELETE' })
    }
  }

  /** How often Google was called, by "METHOD route". */
  async calls(matching = /./): Promise<number> {
    return Object.entries((await this.stats())['requests'] ?? {})
      .filter(([route]) => matching.test(route))
      .reduce((sum, [, count]) => sum + count, 0)
  }

  async stats(): Promise<Stats> {
    return (await (await fetch(`${this.#stack.local.urls.google}/_shim/stats`)).json()) as Stats
  }

  async mailbox(email = this.#stack.local.demo.mailbox): Promise<StoredMail[]> {
    const query = new URLSearchParams({ email })
    const response = await fetch(`${this.#stack.local.urls.google}/_shim/mailbox?${query.toString()}`, {
      signal: AbortSignal.timeout(10_000),
    })
    return ((await response.json()) as { messages: StoredMail[] }).messages
  }

  /** What lies in Sent. */
  async sent(email?: string): Promise<StoredMail[]> {
    return (await this.mailbox(email)).filter(({ label_ids }) => label_ids.includes('SENT'))
  }

  // ── time ──

  /** One cron tick, as of an instant. */
  async tick(
    cron: '* * * * *' | '*/5 * * * *' | '*/30 * * * *' | '0 * * * *',
    at = Date.now(),
  ): Promise<void> {
    const query = new URLSearchParams({ cron, time: String(at) })
    const response = await fetch(`${this.#stack.api}/cdn-cgi/local/scheduled?${query.toString()}`, {
      signal: AbortSignal.timeout(60_000),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`the tick of ${cron} was answered with ${response.status}: ${text}`)
  }

  /** The five-minute tick, each time as of six minutes after the last one, so that every mailbox is due again. */
  async poll(): Promise<void> {
    this.#polledAsOf = Math.max(this.#polledAsOf, Date.now()) + 6 * 60_000
    await this.tick('*/5 * * * *', this.#polledAsOf)
  }

  // ── behind the product's back ──

  /** As the superuser, who sees every row. */
  async sql<T extends pg.QueryResultRow>(statement: string, values: unknown[] = []): Promise<T[]> {
    const { superuser_url, owner_url } = this.#stack.local.database
    const url = new URL(this.#superuserUrl ?? superuser_url ?? owner_url)
    url.pathname = new URL(owner_url).pathname
    const client = new pg.Client({ connectionString: url.href, connectionTimeoutMillis: 5000 })
    client.on('error', () => undefined)
    await client.connect()
    try {
      return (await client.query<T>(statement, values)).rows
    } finally {
      await client.end()
    }
  }
}

/** A question that the built-in rules answer with confidence, from a sender and a domain of its own. */
export function inquiry(name: string): { from: string; subject: string; body: string; message_id: string } {
  return {
    from: `Buyer ${name} <ada@${name}.test>`,
    subject: `Pricing for ${name}?`,
    body: 'Hello, we are a small team. What would 10 seats cost, and is there a discount for a year?',
    message_id: `<${name}@${name}.test>`,
  }
}

export const senderOf = ({ from }: { from: string }): string => /<(.+)>/.exec(from)?.[1] ?? from

/** How often each mail was answered, by the In-Reply-To of what lies in Sent. */
export function answers(sent: StoredMail[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { in_reply_to } of sent) {
    if (in_reply_to !== null) counts.set(in_reply_to, (counts.get(in_reply_to) ?? 0) + 1)
  }
  return counts
}

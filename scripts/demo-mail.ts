// `npm run demo:mail`: sends a mail to the demo mailbox and tells, step by step, what Inlet made of it.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { demoSession, type Session } from './stack/demo-session.ts'
import { type Draft, type Message, type SentMail, verdictLines } from './stack/demo-types.ts'
import { type LocalFile, readLocalFile } from './stack/local-file.ts'
import { bold, dim, green, messageOf, say, StartError, yellow } from './stack/say.ts'
import { dataDirOf } from './stack/settings.ts'

const PATIENCE_MS = 30_000
/** Slack is told after the reply is out, so the last step gets a little time of its own. */
const SLACK_PATIENCE_MS = 8_000

const began = Date.now()
const step = (text: string) => say(`${dim(`${String(Date.now() - began).padStart(6)} ms`)}  ${text}`)
const detail = (text: string) => say(`${' '.repeat(11)}${dim(text)}`)

async function main(): Promise<void> {
  const local = readLocalFile(dataDirOf(join(import.meta.dirname, '..')))
  if (!local) throw new StartError('there is no local stack here yet; run `npm start` first')
  const { google } = local.urls
  if (!google) throw new StartError('the stack runs without its emulators, so nobody here can deliver a mail')
  const session = await demoSession(local)
  const known = local.urls.slack ? await slackTexts(local) : []

  const mail = readMail(local)
  const mailboxes = await session.list<{ email: string; status: string }>('/mailboxes')
  if (!mailboxes.some(({ email, status }) => email === mail.to && status === 'connected')) {
    throw new StartError(`${mail.to} is not connected to Inlet, so nobody would read the mail there`)
  }
  const delivered = await deliver(google, mail)
  step(`${bold('arrived')} in ${mail.to}`)

  const { message, conversation } = await until(
    'the message in Inlet',
    async () => await findMessage(session, mail.message_id),
  )
  step(`${bold('read')} as ${message.classification} mail, DMARC ${message.dmarc ?? 'unknown'}`)
  for (const line of verdictLines(message.verdicts.filter(({ passed }) => !passed))) detail(line)
  if (message.classification !== 'human') {
    step(yellow(`no lead and no reply: it is ${message.classification} mail`))
    return
  }
  if (conversation.lead) step(`${bold('lead')} ${conversation.lead.status} ${dim(conversation.lead.id)}`)

  const draft = await until('the draft', async () => await findDraft(session, message.id))
  const confidence = draft.confidence === null ? '' : `, confidence ${draft.confidence}`
  step(
    `${bold('draft')} ${draft.category ?? 'without category'}${confidence}: ${draft.decision ?? draft.status}`,
  )
  for (const line of verdictLines(draft.gate)) detail(line)
  if (draft.ai_failure) detail(draft.ai_failure.message)

  const replied = draft.send ? await followSend(session, draft.id) : false
  if (!draft.send) step(yellow(`no automatic reply: ${reasonOf(draft)}`))
  if (replied) {
    const sent = await until('the reply in Sent', async () => await findReply(google, mail))
    const sameThread =
      sent.thread_id === delivered.threadId ? 'the same thread' : `another thread, ${sent.thread_id}`
    step(`${bold('in Sent')} of ${mail.to}: "${sent.subject}" to ${sent.to}`)
    detail(
      `In-Reply-To ${sent.in_reply_to ?? 'missing'}, References ${sent.references ?? 'missing'}, ${sameThread}`,
    )
  }
  await showSlack(local, known)
  say(replied ? green('Done: the reply is out.') : 'Done: the reason is known.')
}

type Mail = ReturnType<typeof readMail>

function readMail(local: LocalFile) {
  const { values } = parseArgs({
    options: {
      from: { type: 'string', default: 'Ada Lovelace <ada@buyer.test>' },
      to: { type: 'string', default: local.demo.mailbox },
      subject: { type: 'string', default: 'Pricing?' },
      body: { type: 'string' },
      html: { type: 'string' },
      raw: { type: 'string' },
    },
  })
  const to = values.to.toLowerCase()
  if (values.raw !== undefined) {
    const raw = readFileSync(values.raw, 'latin1')
    const message_id = /^message-id:\s*(<[^>]+>)/im.exec(raw)?.[1]
    if (!message_id) throw new StartError(`${values.raw} has no Message-ID to find it by`)
    // Gmail writes its verdict on top of what it receives; a file that has one already is taken as it is.
    const auth = /^authentication-results:\s*mx\.google\.com/im.test(raw) ? 'none' : 'pass'
    return { to, raw, auth, message_id }
  }
  const { from, subject, html } = values
  const body = values.body ?? (html === undefined ? 'Hello, what would 10 seats cost?' : undefined)
  const message_id = `<${randomBytes(9).toString('hex')}@demo.test>`
  return { to, from, subject, body, ...(html === undefined ? {} : { html }), message_id }
}

async function deliver(google: string, mail: Mail): Promise<{ id: string; threadId: string }> {
  const response = await fetch(`${google}/_shim/deliver`, {
    method: 'POST',
    body: JSON.stringify(mail),
  }).catch(() => {
    throw new StartError('the local stack does not answer; is `npm start` running?')
  })
  const answer = (await response.json()) as { id: string; threadId: string; error?: string }
  if (answer.error) throw new StartError(answer.error)
  return answer
}

interface Found {
  message: Message
  conversation: { id: string; lead: { id: string; status: string } | null }
}

async function findMessage(session: Session, messageId: string): Promise<Found | undefined> {
  const conversations = await session.list<Found['conversation']>('/conversations?limit=10')
  for (const conversation of conversations) {
    const messages = await session.list<Message>(`/conversations/${conversation.id}/messages?limit=200`)
    const message = messages.find((one) => one.message_id === messageId && one.direction === 'inbound')
    if (message) return { message, conversation }
  }
  return undefined
}

async function findDraft(session: Session, messageId: string): Promise<Draft | undefined> {
  const drafts = await session.list<Draft>('/drafts?limit=50')
  const draft = drafts.find((one) => one.message.id === messageId)
  return draft && (draft.status !== 'pending' || draft.ai_failure) ? draft : undefined
}

const ENDS = new Set(['sent', 'failed', 'skipped', 'review', 'unknown'])

/** True once it is sent; false when it ends otherwise, which is said here. */
async function followSend(session: Session, draftId: string): Promise<boolean> {
  let shown = ''
  const send = await until('the end of the send', async () => {
    const draft = await session.get<Draft>(`/drafts/${draftId}`)
    const state = draft.send?.state ?? ''
    if (state !== shown) step(`${bold('reply')} ${state}`)
    shown = state
    return draft.send && ENDS.has(state) ? draft.send : undefined
  })
  if (send.state === 'sent') return true
  const { last_error, skip_reason } = await session.get<SentMail>(`/sends/${send.id}`)
  step(yellow(`no reply: ${send.state} ${skip_reason ?? last_error?.message ?? ''}`))
  return false
}

interface StoredMail {
  thread_id: string
  label_ids: string[]
  subject: string
  to: string
  in_reply_to: string | null
  references: string | null
}

async function findReply(google: string, mail: Mail): Promise<StoredMail | undefined> {
  const response = await fetch(`${google}/_shim/mailbox?email=${encodeURIComponent(mail.to)}`)
  const { messages } = (await response.json()) as { messages: StoredMail[] }
  return messages.find(
    ({ label_ids, in_reply_to }) => label_ids.includes('SENT') && in_reply_to === mail.message_id,
  )
}

async function slackTexts({ urls }: LocalFile): Promise<string[]> {
  const response = await fetch(`${urls.slack}/_shim/messages`)
  const { messages } = (await response.json()) as { messages: { text: string; ts: string }[] }
  return messages.map(({ text, ts }) => `${ts} ${text}`)
}

async function showSlack(local: LocalFile, known: string[]): Promise<void> {
  if (!local.urls.slack) return
  for (const end = Date.now() + SLACK_PATIENCE_MS; Date.now() < end; await delay(100)) {
    const fresh = (await slackTexts(local)).filter((text) => !known.includes(text))
    if (fresh.length === 0) continue
    for (const text of fresh) {
      step(`${bold('Slack')}`)
      for (const line of text.replace(/^\S+ /, '').split('\n')) detail(line)
    }
    return
  }
  step(yellow('Slack has not been told yet'))
}

const reasonOf = ({ gate, decision, reason }: Draft) =>
  gate.find(({ passed }) => !passed)?.detail ?? reason ?? decision ?? 'no reason was given'

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  while (Date.now() - began < PATIENCE_MS) {
    const found = await look()
    if (found !== undefined) return found
    await delay(100)
  }
  throw new StartError(`${what} did not come within ${PATIENCE_MS / 1000} s; the Worker's log may say why`)
}

main().catch((error: unknown) => {
  process.stderr.write(`${messageOf(error)}\n`)
  process.exitCode = 1
})

// One mail over one SMTP session. It knows at every moment how far it has come: only from the final dot until a reply to it is
// the mail's fate unknown.
import { type Failure, fail } from '#kernel/failure'
import {
  type Capabilities,
  judgeBreak,
  judgeReply,
  readCapabilities,
  type SmtpPhase,
  type SmtpReply,
  stuffDots,
} from '../policy/smtp-replies'
import { openConnection, SmtpBreak, type SmtpConnection } from './smtp-connection'

export interface SmtpServer {
  host: string
  port: number
  tls: 'implicit' | 'starttls' | 'off'
  login: { user: string; password: string } | null
  /** What we call ourselves. */
  name: string
}

export interface SmtpMail {
  send_id: string
  from: string
  to: string
  raw: Uint8Array
}

export interface SmtpLimits {
  /** For one answer of the server, and for the handshake. */
  reply_ms: number
  /** For all that comes before the final dot. */
  session_ms: number
  /** For the answer to it: many servers check the mail before they take it. */
  dot_ms: number
}

/** Together well within the lease of a claim. */
export const smtpLimits: SmtpLimits = { reply_ms: 15_000, session_ms: 50_000, dot_ms: 30_000 }

export type SmtpOutcome =
  | { outcome: 'accepted' }
  | { outcome: 'refused'; failure: Failure }
  | { outcome: 'ambiguous'; failure: Failure }

/** The parts of `cloudflare:sockets` that are needed. */
export type Connect = (
  address: { hostname: string; port: number },
  options: { secureTransport: 'on' | 'off' | 'starttls'; allowHalfOpen: boolean },
) => Socket

export async function sendBySmtp(
  connect: Connect,
  server: SmtpServer,
  mail: SmtpMail,
  limits: SmtpLimits = smtpLimits,
): Promise<SmtpOutcome> {
  const session: Session = { phase: 'connect', connection: null, began: performance.now(), limits }
  try {
    await converse(session, connect, server, mail)
    await quit(session)
    return { outcome: 'accepted' }
  } catch (error) {
    if (error instanceof Refusal) {
      await quit(session)
      return { outcome: 'refused', failure: error.failure }
    }
    const failure = judgeBreak(session.phase, error instanceof SmtpBreak ? error.cause_of_end : 'closed')
    return { outcome: session.phase === 'dot' ? 'ambiguous' : 'refused', failure }
  } finally {
    session.connection?.close()
  }
}

interface Session {
  phase: SmtpPhase
  connection: SmtpConnection | null
  began: number
  limits: SmtpLimits
}

/** A definite no, by the server or by us. */
class Refusal extends Error {
  readonly failure: Failure
  constructor(failure: Failure) {
    super(failure.code)
    this.name = 'Refusal'
    this.failure = failure
  }
}

async function converse(
  session: Session,
  connect: Connect,
  server: SmtpServer,
  mail: SmtpMail,
): Promise<void> {
  const { host: hostname, port, tls } = server
  const secureTransport = { implicit: 'on', starttls: 'starttls', off: 'off' } as const
  session.connection = openConnection(
    connect({ hostname, port }, { secureTransport: secureTransport[tls], allowHalfOpen: false }),
  )
  await session.connection.opened(timeLeft(session))
  session.phase = 'greeting'
  expectCode(session, await session.connection.reply(timeLeft(session)), 220)
  let offers = await greet(session, server)
  if (tls === 'starttls') {
    await startTls(session, offers)
    // What it offered before the handshake may be a stranger's words.
    offers = await greet(session, server)
  }
  if (server.login !== null) await logIn(session, server.login, offers)
  await hand(session, mail, offers)
}

async function greet(session: Session, server: SmtpServer): Promise<Capabilities> {
  session.phase = 'ehlo'
  return readCapabilities(await ask(session, `EHLO ${server.name}`, 250))
}

/** No way back to plain text: who asked for TLS gets it, or nothing is sent. */
async function startTls(session: Session, offers: Capabilities): Promise<void> {
  session.phase = 'starttls'
  if (!offers.starttls) throw refusal('auth', 'smtp_no_starttls', 'The SMTP server offers no STARTTLS.')
  await command(session, 'STARTTLS', 220)
  session.phase = 'tls'
  session.connection = connectionOf(session).startTls()
  await session.connection.opened(timeLeft(session))
}

async function logIn(
  session: Session,
  { user, password }: { user: string; password: string },
  { auth }: Capabilities,
): Promise<void> {
  session.phase = 'auth'
  if (auth.includes('PLAIN')) {
    const first = await command(session, `AUTH PLAIN ${base64(`\0${user}\0${password}`)}`, 235, 334)
    if (first.code === 334) await command(session, base64(`\0${user}\0${password}`), 235)
  } else if (auth.includes('LOGIN')) {
    await command(session, 'AUTH LOGIN', 334)
    await command(session, base64(user), 334)
    await command(session, base64(password), 235)
  } else {
    throw refusal('auth', 'smtp_no_login', 'The SMTP server offers no login that is known here.')
  }
}

async function hand(session: Session, mail: SmtpMail, offers: Capabilities): Promise<void> {
  session.phase = 'mail'
  const parameters = judgeMail(mail, offers)
  await ask(session, `MAIL FROM:<${mail.from}>${parameters.mail}`, 250)
  session.phase = 'rcpt'
  await ask(session, `RCPT TO:<${mail.to}>${parameters.rcpt}`, 250, 251)
  session.phase = 'data'
  await ask(session, 'DATA', 354)
  session.phase = 'body'
  const connection = connectionOf(session)
  await connection.write(stuffDots(mail.raw), timeLeft(session, session.limits.session_ms))
  if (connection.hasUnread()) throw new SmtpBreak('garbage')
  session.phase = 'dot'
  const { dot_ms } = session.limits
  await connection.write(encoder.encode('.\r\n'), dot_ms)
  const reply = await connection.reply(dot_ms)
  // RFC 5321 §4.2.1: whatever its other digits are, a 2yz has taken the mail, and is not tried again. A 3yz says neither.
  if (reply.code < 300) return
  if (reply.code < 400) throw new SmtpBreak('garbage')
  throw new Refusal(judgeReply(session.phase, reply))
}

/** What the server has to be told of this mail, and whether it takes such mail at all. */
function judgeMail(mail: SmtpMail, offers: Capabilities): { mail: string; rcpt: string } {
  for (const address of [mail.from, mail.to])
    if (/[\s<>\p{Cc}]/u.test(address))
      throw refusal('permanent', 'bad_recipient', 'The address cannot be written in SMTP.')
  if (offers.size !== null && mail.raw.length > offers.size)
    throw refusal('permanent', 'too_large', 'The mail is larger than the SMTP server takes.')
  const utf8 = !isAscii(mail.from) || !isAscii(mail.to)
  if (utf8 && !offers.utf8)
    throw refusal('permanent', 'bad_recipient', 'The SMTP server takes ASCII addresses only.')
  const eightBit = mail.raw.some((byte) => byte > 127)
  if (eightBit && !offers.eight_bit)
    throw refusal('permanent', 'mail_refused', 'The SMTP server takes 7-bit mail only.')
  return {
    mail: [
      offers.size_known ? ` SIZE=${mail.raw.length}` : '',
      eightBit ? ' BODY=8BITMIME' : '',
      utf8 ? ' SMTPUTF8' : '',
      offers.dsn ? ` RET=HDRS ENVID=${mail.send_id}` : '',
    ].join(''),
    rcpt: offers.dsn ? ' NOTIFY=FAILURE,DELAY' : '',
  }
}

/** A command that begins in step: more than was asked for is an answer to nothing of ours. */
async function ask(session: Session, text: string, ...wanted: number[]): Promise<SmtpReply> {
  const reply = await command(session, text, ...wanted)
  if (connectionOf(session).hasUnread()) throw new SmtpBreak('garbage')
  return reply
}

async function command(session: Session, text: string, ...wanted: number[]): Promise<SmtpReply> {
  const connection = connectionOf(session)
  await connection.write(encoder.encode(`${text}\r\n`), timeLeft(session))
  return expectCode(session, await connection.reply(timeLeft(session)), ...wanted)
}

function expectCode(session: Session, reply: SmtpReply, ...wanted: number[]): SmtpReply {
  if (!wanted.includes(reply.code)) throw new Refusal(judgeReply(session.phase, reply))
  return reply
}

/** Politeness: what became of the mail is known, and a server that says no more is not waited for. */
async function quit(session: Session): Promise<void> {
  // In the middle of a mail it would be a line of it.
  if (session.connection === null || session.phase === 'body' || session.phase === 'connect') return
  try {
    await session.connection.write(encoder.encode('QUIT\r\n'), 500)
    await session.connection.reply(500)
  } catch {
    // It has hung up already.
  }
}

function timeLeft(session: Session, most: number = session.limits.reply_ms): number {
  return Math.min(most, session.limits.session_ms - (performance.now() - session.began))
}

function connectionOf(session: Session): SmtpConnection {
  if (session.connection === null) throw new TypeError('Not connected')
  return session.connection
}

function refusal(...failure: Parameters<typeof fail>): Refusal {
  return new Refusal(fail(...failure).failure)
}

const encoder = new TextEncoder()

function isAscii(text: string): boolean {
  return encoder.encode(text).length === text.length
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...encoder.encode(text)))
}

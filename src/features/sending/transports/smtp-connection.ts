// Lines and replies over a socket: capped, and each within its time, however slowly the bytes come.
import { readReply, readReplyLine, type SmtpBreakCause, type SmtpReply } from '../policy/smtp-replies'

/** RFC 5321 §4.5.3.1.5 says 512; some servers are wordier. */
const MAX_LINE_BYTES = 4096
const MAX_REPLY_BYTES = 64 * 1024

export class SmtpBreak extends Error {
  readonly cause_of_end: SmtpBreakCause
  constructor(cause: SmtpBreakCause) {
    super(`smtp ${cause}`)
    this.name = 'SmtpBreak'
    this.cause_of_end = cause
  }
}

export interface SmtpConnection {
  opened(ms: number): Promise<void>
  reply(ms: number): Promise<SmtpReply>
  write(bytes: Uint8Array, ms: number): Promise<void>
  /** The server has said more than it was asked: then its next answer is no answer to us. */
  hasUnread(): boolean
  /** What the server wrote before the handshake is dropped: a stranger may have added it (CVE-2011-0411). */
  startTls(): SmtpConnection
  close(): void
}

export function openConnection(socket: Socket): SmtpConnection {
  const reader: ReadableStreamDefaultReader<Uint8Array> = socket.readable.getReader()
  const writer: WritableStreamDefaultWriter<Uint8Array> = socket.writable.getWriter()
  const decoder = new TextDecoder()
  let unread = ''
  // Its end is told by the next read or write; nobody waits for this promise.
  socket.closed.catch(() => undefined)

  const line = async (): Promise<string> => {
    for (;;) {
      const end = unread.indexOf('\n')
      if (end > MAX_LINE_BYTES || (end < 0 && unread.length > MAX_LINE_BYTES)) throw new SmtpBreak('garbage')
      if (end >= 0) {
        const found = unread.slice(0, end).replace(/\r$/, '')
        unread = unread.slice(end + 1)
        return found
      }
      const { done, value } = await reader.read()
      if (done) throw new SmtpBreak('closed')
      unread += decoder.decode(value, { stream: true })
    }
  }

  const readWholeReply = async (): Promise<SmtpReply> => {
    const lines: { code: number; text: string }[] = []
    let size = 0
    for (;;) {
      const text = await line()
      size += text.length
      const read = readReplyLine(text)
      if (read === null || size > MAX_REPLY_BYTES) throw new SmtpBreak('garbage')
      lines.push(read)
      if (!read.last) continue
      const reply = readReply(lines)
      if (reply === null) throw new SmtpBreak('garbage')
      return reply
    }
  }

  return {
    opened: async (ms) => {
      await within(ms, socket.opened)
    },
    reply: (ms) => within(ms, readWholeReply()),
    write: (bytes, ms) => within(ms, writer.write(bytes)),
    hasUnread: () => unread !== '',
    startTls: () => {
      reader.releaseLock()
      writer.releaseLock()
      return openConnection(socket.startTls())
    },
    close: () => {
      socket.close().catch(() => undefined)
    },
  }
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new SmtpBreak('timeout')), Math.max(1, ms))
  })
  try {
    return await Promise.race([work, late])
  } catch (error) {
    // Lost after its time was over: nobody hears of it again.
    work.catch(() => undefined)
    throw error instanceof SmtpBreak ? error : new SmtpBreak('closed')
  } finally {
    clearTimeout(timer)
  }
}

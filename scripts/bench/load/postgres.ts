// What pgbench does with prepared statements in a pipeline: the messages of a transaction are encoded once, written at
// once, and answered at once. `pg` only signs in; its parsing would cost more than the transaction.
import { once } from 'node:events'
import type { Socket } from 'node:net'
import pg from 'pg'
import type { LoadResult, PostgresJob } from './job.ts'
import { Latencies } from './latencies.ts'
import { Filler, type Hole, type Template } from './template.ts'

export async function loadPostgres(job: PostgresJob): Promise<LoadResult> {
  const clients = await Promise.all(
    Array.from({ length: job.connections }, async () => {
      const client = new pg.Client({ connectionString: job.url })
      await client.connect()
      return client
    }),
  )
  const statements = [{ text: 'begin', params: [] }, ...job.statements, { text: 'commit', params: [] }]
  const sockets = await Promise.all(clients.map((client) => takeOver(client, statements)))
  const filler = new Filler()
  const latencies = new Latencies()
  const until = performance.now() + job.seconds * 1000
  await Promise.all(
    sockets.map((socket) => drive(socket, encodeTransaction(statements), filler, latencies, until)),
  )
  const result = latencies.result()
  for (const socket of sockets) socket.destroy()
  return result
}

type Statements = { text: string; params: (Template | null)[] }[]

/** From here on the socket is ours, and the statements are prepared on it. */
async function takeOver(client: pg.Client, statements: Statements): Promise<Socket> {
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection
  stream.removeAllListeners('data')
  client.on('error', () => undefined)
  stream.write(
    Buffer.concat([
      ...statements.map(({ text }, i) => message('P', cString(`s${i}`), cString(text), int16(0))),
      message('S'),
    ]),
  )
  const reader = new AnswerReader()
  for (;;) {
    const [chunk] = (await once(stream, 'data')) as [Buffer]
    if (!reader.take(chunk)) continue
    if (reader.error !== undefined) throw new Error(reader.error)
    return stream
  }
}

interface Encoded {
  bytes: Buffer
  holes: Hole[]
}

function encodeTransaction(statements: Statements): Encoded {
  const parts: Buffer[] = []
  const holes: Hole[] = []
  let size = 0
  const append = (part: Buffer) => {
    parts.push(part)
    size += part.length
  }
  statements.forEach(({ params }, i) => {
    const body = [cString(''), cString(`s${i}`), int16(0), int16(params.length)]
    let at = body.reduce((sum, part) => sum + part.length, 0)
    for (const param of params) {
      const value = Buffer.from(param?.text ?? '', 'latin1')
      body.push(int32(param === null ? -1 : value.length), value)
      for (const hole of param?.holes ?? []) holes.push({ ...hole, at: size + 5 + at + 4 + hole.at })
      at += 4 + value.length
    }
    append(message('B', ...body, int16(0)))
    append(message('D', Buffer.from('P'), cString('')))
    append(message('E', cString(''), int32(0)))
  })
  append(message('S'))
  return { bytes: Buffer.concat(parts), holes }
}

function drive(
  socket: Socket,
  { bytes, holes }: Encoded,
  filler: Filler,
  latencies: Latencies,
  until: number,
): Promise<void> {
  return new Promise((resolve) => {
    const reader = new AnswerReader()
    let sentAt = 0
    const send = () => {
      filler.next()
      filler.fill(bytes, holes)
      sentAt = performance.now()
      socket.write(bytes)
    }
    socket.on('data', (chunk: Buffer) => {
      if (!reader.take(chunk)) return
      const now = performance.now()
      if (reader.error === undefined) latencies.add(now - sentAt)
      else latencies.fail(reader.error)
      reader.error = undefined
      if (now < until) send()
      else resolve()
    })
    socket.on('close', () => {
      if (performance.now() < until) latencies.fail('the database closed the connection')
      resolve()
    })
    send()
  })
}

const READY = 'Z'.charCodeAt(0)
const ERROR = 'E'.charCodeAt(0)

/** Walks over the messages of an answer; only its end and an error are of interest. */
class AnswerReader {
  error: string | undefined
  #rest: Buffer = Buffer.alloc(0)
  #skip = 0

  /** True when the server is ready for the next transaction. */
  take(chunk: Buffer): boolean {
    const data = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk
    let at = this.#skip
    let ready = false
    while (at + 5 <= data.length) {
      const type = data[at]
      const end = at + 1 + data.readUInt32BE(at + 1)
      if (type === READY) ready = true
      if (type === ERROR) this.error ??= data.toString('latin1', at + 5, end).replaceAll('\0', ' ')
      at = end
    }
    this.#skip = Math.max(0, at - data.length)
    this.#rest = at < data.length ? data.subarray(at) : Buffer.alloc(0)
    return ready
  }
}

function message(type: string, ...body: Buffer[]): Buffer {
  const content = Buffer.concat(body)
  return Buffer.concat([Buffer.from(type), int32(content.length + 4), content])
}

const cString = (text: string) => Buffer.from(`${text}\0`)

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

// HTTP/1.1 with bare sockets: a tenth of what Node's own client costs, so that the server gets the machine.
import { connect, type Socket } from 'node:net'
import type { HttpJob, LoadResult } from './job.ts'
import { Latencies } from './latencies.ts'
import { Filler } from './template.ts'

const HEAD_END = Buffer.from('\r\n\r\n')
const LAST_CHUNK = Buffer.from('0\r\n\r\n')

export async function loadHttp(job: HttpJob): Promise<LoadResult> {
  const sockets = await Promise.all(Array.from({ length: job.connections }, () => open(job.port)))
  const filler = new Filler()
  const latencies = new Latencies()
  const until = performance.now() + job.seconds * 1000
  await Promise.all(sockets.map((socket) => drive(socket, job, filler, latencies, until)))
  const result = latencies.result()
  for (const socket of sockets) socket.destroy()
  return result
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}

function drive(
  socket: Socket,
  { request, status }: HttpJob,
  filler: Filler,
  latencies: Latencies,
  until: number,
): Promise<void> {
  return new Promise((resolve) => {
    const bytes = Buffer.from(request.text, 'latin1')
    const reader = new ResponseReader()
    let sentAt = 0
    const send = () => {
      filler.next()
      filler.fill(bytes, request.holes)
      sentAt = performance.now()
      // The bytes are written over next time, which is after the answer and so after they have left.
      socket.write(bytes)
    }
    socket.on('data', (chunk) => {
      if (!reader.take(chunk)) return
      const now = performance.now()
      if (reader.status === status) latencies.add(now - sentAt)
      else latencies.fail(`${reader.status} ${chunk.toString('latin1').slice(-400)}`)
      if (now < until) send()
      else resolve()
    })
    socket.on('error', (error) => latencies.fail(error.message))
    socket.on('close', () => {
      if (performance.now() < until) latencies.fail('the server closed the connection')
      resolve()
    })
    send()
  })
}

/** One answer after the other: there is never more than one under way on a connection. */
class ResponseReader {
  status = 0
  #head: Buffer | undefined
  /** Bytes of the body still to come; undefined before the head, -1 for chunked. */
  #left: number | undefined

  /** True when the answer is complete. */
  take(chunk: Buffer): boolean {
    if (this.#left === undefined) return this.#takeHead(chunk)
    return this.#takeBody(chunk, chunk.length)
  }

  #takeHead(chunk: Buffer): boolean {
    const data = this.#head ? Buffer.concat([this.#head, chunk]) : chunk
    const end = data.indexOf(HEAD_END)
    if (end < 0) {
      this.#head = data
      return false
    }
    this.#head = undefined
    const head = data.toString('latin1', 0, end)
    this.status = Number(head.slice(9, 12))
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
    this.#left = length === undefined ? -1 : Number(length)
    if (length === undefined && !/\r\ntransfer-encoding: *chunked/i.test(head)) this.#left = 0
    return this.#takeBody(data, data.length - end - HEAD_END.length)
  }

  #takeBody(data: Buffer, size: number): boolean {
    const left = this.#left ?? 0
    const complete =
      left < 0 ? data.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK) : (this.#left = left - size) <= 0
    if (complete) this.#left = undefined
    return complete
  }
}

// The interactive door: Postgres's own protocol over a WebSocket. As Neon's proxy does, the gateway takes the
// password in clear (the driver pipelines it) and does the real login itself; after that it only passes bytes on.
import type { Socket } from 'node:net'
import pg from 'pg'
import type { WebSocket } from 'ws'
import type { GatewayPools, Login } from './gateway-pools.ts'
import { isSqlError } from './gateway-pools.ts'
import { messageOf } from './say.ts'

const SSL_REQUEST = 80_877_103
const PROTOCOL_3 = 3
const MAX_LOGIN_BYTES = 64 * 1024

export function serveWebSocket(socket: WebSocket, pools: GatewayPools): void {
  let received: Buffer = Buffer.alloc(0)
  let startup: Map<string, string> | undefined
  let connecting = false
  let backend: Socket | undefined

  socket.on('message', (data: Buffer) => {
    if (backend) {
      backend.write(data)
      return
    }
    received = Buffer.concat([received, data])
    if (!connecting && received.length > MAX_LOGIN_BYTES) socket.close(1009)
    else if (!connecting) advance()
  })
  socket.on('error', () => socket.terminate())
  socket.on('close', () => backend?.destroy())

  function advance(): void {
    while (!startup) {
      const packet = take(4, 0)
      if (!packet) return
      const code = packet.readInt32BE(4)
      if (code === SSL_REQUEST) socket.send('N')
      else if (code >> 16 === PROTOCOL_3) {
        startup = parameters(packet)
        socket.send(message('R', int32(3)))
      } else {
        // A cancel request, for instance: there is nothing that we could give it to.
        socket.close(1002)
        return
      }
    }
    const packet = take(5, 1)
    if (!packet) return
    const password = packet.toString('utf8', 5, packet.length - 1)
    const user = startup.get('user') ?? ''
    if (packet[0] !== 0x70 || password === '' || user === '') {
      refuse('28P01', 'A user and a password are required')
      return
    }
    connecting = true
    void open({ user, password, database: startup.get('database') ?? user }, startup)
  }

  async function open(login: Login, asked: Map<string, string>): Promise<void> {
    const options = asked.get('options')
    const name = asked.get('application_name')
    const client = new pg.Client({
      ...pools.connectionOf(login),
      ...(options ? { options } : {}),
      ...(name ? { application_name: name } : {}),
    })
    client.on('error', () => socket.close())
    const inner = client as unknown as ClientInternals
    const told: Buffer[] = []
    inner.connection.on('parameterStatus', ({ parameterName, parameterValue }) => {
      told.push(message('S', Buffer.from(`${parameterName}\0${parameterValue}\0`)))
    })
    try {
      await client.connect()
    } catch (error) {
      refuse(isSqlError(error) ? (error.code ?? '08006') : '08006', messageOf(error))
      client.end().catch(() => undefined)
      return
    }
    const { stream } = inner.connection
    if (socket.readyState !== socket.OPEN) {
      stream.destroy()
      return
    }
    // From here on the bytes belong to the other side; the driver's own reader must not see them.
    stream.removeAllListeners('data')
    stream.on('data', (bytes: Buffer) => {
      if (socket.readyState === socket.OPEN) socket.send(bytes)
    })
    stream.on('close', () => socket.close())
    const keys = Buffer.concat([int32(inner.processID), int32(inner.secretKey)])
    socket.send(
      Buffer.concat([message('R', int32(0)), ...told, message('K', keys), message('Z', Buffer.from('I'))]),
    )
    backend = stream
    if (received.length > 0) stream.write(received)
    received = Buffer.alloc(0)
  }

  function refuse(code: string, text: string): void {
    const fields = `SFATAL\0VFATAL\0C${code}\0M${text}\0\0`
    socket.send(message('E', Buffer.from(fields)))
    socket.close()
  }

  /** Cuts one whole packet off what came in; its length stands behind `skip` bytes and counts itself. */
  function take(headerBytes: number, skip: number): Buffer | undefined {
    if (received.length < headerBytes) return undefined
    const length = received.readInt32BE(skip) + skip
    if (length < headerBytes + 1 || length > MAX_LOGIN_BYTES) {
      socket.close(1002)
      return undefined
    }
    if (received.length < length) return undefined
    const packet = received.subarray(0, length)
    received = received.subarray(length)
    return packet
  }
}

interface ClientInternals {
  processID: number
  secretKey: number
  connection: {
    stream: Socket
    on(
      event: 'parameterStatus',
      listener: (status: { parameterName: string; parameterValue: string }) => void,
    ): void
  }
}

function parameters(packet: Buffer): Map<string, string> {
  const words = packet.toString('utf8', 8).split('\0')
  const map = new Map<string, string>()
  for (let i = 0; words[i]; i += 2) map.set(words[i] ?? '', words[i + 1] ?? '')
  return map
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32BE(value | 0)
  return buffer
}

function message(type: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body])
}

// Neon's wire protocol over any Postgres: `POST /sql` for the HTTP driver, `/v2` for its WebSocket one. With it the
// Worker runs the very code here that it runs against Neon.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { errorFields } from '@neondatabase/serverless'
import { WebSocketServer } from 'ws'
import { DEFAULT_LIMITS, GatewayError, GatewayPools, isSqlError, type PoolLimits } from './gateway-pools.ts'
import { isStale, type Modes, type Query, runBatch, runOne } from './gateway-sql.ts'
import { serveWebSocket } from './gateway-websocket.ts'

export interface GatewayOptions {
  /** 0 for any free one. */
  port: number
  /** Which server it leads to. The login comes with each request and is Postgres's to judge. */
  databaseUrl: string
  limits?: Partial<PoolLimits>
}

export interface Gateway {
  url: string
  close: () => Promise<void>
}

// Neon's own limit is not published; design: stay under 8 MB.
const MAX_BODY = 8 * 1024 * 1024
const MAX_WEBSOCKETS = 64

export async function startGateway({ port, databaseUrl, limits }: GatewayOptions): Promise<Gateway> {
  const pools = new GatewayPools(databaseUrl, { ...DEFAULT_LIMITS, ...limits })
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    void answer(request, response, pools)
  })
  const sockets = new WebSocketServer({ server, path: '/v2', maxPayload: MAX_BODY, perMessageDeflate: false })
  sockets.on('connection', (socket) => {
    if (sockets.clients.size > MAX_WEBSOCKETS) socket.close(1013)
    else serveWebSocket(socket, pools)
  })
  await new Promise<void>((resolve, reject) => {
    // The WebSocket server repeats the HTTP server's errors as its own.
    sockets.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      for (const socket of sockets.clients) socket.terminate()
      sockets.close()
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
      await pools.close()
    },
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  pools: GatewayPools,
): Promise<void> {
  try {
    if (request.method !== 'POST' || request.url !== '/sql') throw new GatewayError(404, 'Not found')
    const connectionString = header(request, 'neon-connection-string')
    if (!connectionString) throw new GatewayError(400, 'The header Neon-Connection-String is required')
    const body = await readBody(request)
    reply(response, 200, await execute(pools, connectionString, body, modesOf(request)))
  } catch (error) {
    if (response.headersSent) response.destroy()
    else replyError(response, error)
  }
}

type Body = Query | { queries: Query[] }

async function execute(
  pools: GatewayPools,
  connectionString: string,
  body: Body,
  modes: Modes,
): Promise<unknown> {
  for (let attempt = 1; ; attempt++) {
    const client = await pools.connect(connectionString)
    // Without a listener, a connection that dies while it is ours would end the process.
    const ignore = () => undefined
    client.on('error', ignore)
    let reusable = false
    try {
      const { answer: result, tainted } =
        'queries' in body ? await runBatch(client, body.queries, modes) : await runOne(client, body, modes)
      reusable = !tainted
      return result
    } catch (error) {
      if (!isSqlError(error)) throw error
      // The class of a lost session; any other refusal leaves the connection as it was.
      reusable = !/^(08|57)/.test(error.code ?? '') && !isStale(error)
      if (!isStale(error) || attempt > 1) throw error
    } finally {
      client.off('error', ignore)
      client.release(!reusable)
    }
  }
}

function modesOf(request: IncomingMessage): Modes {
  return {
    raw: header(request, 'neon-raw-text-output') === 'true',
    array: header(request, 'neon-array-mode') === 'true',
    isolationLevel: header(request, 'neon-batch-isolation-level'),
    readOnly: header(request, 'neon-batch-read-only'),
    deferrable: header(request, 'neon-batch-deferrable'),
  }
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value[0] : value
}

async function readBody(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY) throw new GatewayError(413, 'The request is larger than 8 MB')
    chunks.push(chunk)
  }
  let body: unknown
  try {
    body = JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    throw new GatewayError(400, 'The body is not JSON')
  }
  if (isQuery(body)) return body
  const queries = (body as { queries?: unknown } | null)?.queries
  if (Array.isArray(queries) && queries.every(isQuery)) return { queries }
  throw new GatewayError(400, 'The body must be {query, params} or {queries: […]}')
}

function isQuery(value: unknown): value is Query {
  const query = value as Partial<Query> | null
  return typeof query?.query === 'string' && (query.params === undefined || Array.isArray(query.params))
}

function replyError(response: ServerResponse, error: unknown): void {
  if (error instanceof GatewayError) {
    // A body that we stopped reading would be taken for the next request.
    if (error.status === 413) response.setHeader('connection', 'close')
    reply(response, error.status, { message: error.message })
  } else if (isSqlError(error)) {
    const fields = errorFields.map((name) => [name, Reflect.get(error, name) as unknown])
    reply(response, 400, { message: error.message, ...(Object.fromEntries(fields) as object) })
  } else {
    // The connection broke under the request: whether it was committed, nobody knows.
    reply(response, 500, { message: 'The connection to the database was lost' })
  }
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  })
  response.end(text)
}

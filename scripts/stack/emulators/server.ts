// The HTTP server in front of an emulated provider: faults, counters, control routes under /_shim, and a connection
// that can be dropped on purpose, which no framework lets one do.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { DROP, type FaultRule, Faults, Stats } from './faults.ts'
import type { HostedEmulator } from './host.ts'

export interface Shim {
  hosted: HostedEmulator
  stats: Stats
  handle: (request: Request) => Promise<Response>
  /** `POST /_shim/<name>`; the body is JSON, or nothing. */
  controls: Record<string, (body: Record<string, unknown>) => Promise<unknown>>
}

export interface EmulatorServer {
  url: string
  close: () => Promise<void>
}

// Gmail takes mail of up to 35 MB, in base64.
const MAX_BODY = 50 * 1024 * 1024

export async function serveShim(port: number, shim: Shim): Promise<EmulatorServer> {
  const faults = new Faults()
  const server = createServer({ keepAliveTimeout: 60_000 }, (incoming, outgoing) => {
    void respond(incoming, outgoing, shim, faults).catch((error: unknown) => {
      process.stderr.write(`${incoming.method} ${incoming.url}: ${String(error)}\n`)
      if (!outgoing.headersSent) outgoing.writeHead(500)
      outgoing.end()
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const address = server.address()
  const actual = typeof address === 'object' ? address?.port : port
  return {
    url: `http://127.0.0.1:${actual}`,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

async function respond(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  shim: Shim,
  faults: Faults,
): Promise<void> {
  const request = await toRequest(incoming)
  if (request === undefined) {
    outgoing.writeHead(413, { connection: 'close' }).end()
    return
  }
  const url = new URL(request.url)
  if (url.pathname.startsWith('/_shim/')) {
    await send(outgoing, await control(request, url, shim, faults))
    return
  }
  const method = request.method
  const route = shim.hosted.app.matchedRoute(method, url.pathname)?.path ?? url.pathname
  shim.stats.count('requests', `${method} ${route}`)
  const fault = faults.take(method, url.pathname + url.search)
  if (fault) {
    shim.stats.count('faults', `${method} ${route}`)
    if (fault.delayMs > 0) await delay(fault.delayMs)
    if (fault.outcome && fault.afterCommit) {
      await shim.handle(request)
      shim.hosted.persist()
    }
    if (fault.outcome === DROP) {
      incoming.socket.destroy()
      return
    }
    if (fault.outcome) {
      await send(outgoing, fault.outcome)
      return
    }
  }
  const response = await shim.handle(request)
  if (method !== 'GET' && method !== 'HEAD') shim.hosted.persist()
  shim.stats.count('answers', `${response.status} ${method} ${route}`)
  await send(outgoing, response)
}

async function control(request: Request, url: URL, shim: Shim, faults: Faults): Promise<Response> {
  // A page of some other site must not be able to steer the emulator of a person who has it running.
  const origin = request.headers.get('origin')
  if (origin && origin !== url.origin) return Response.json({ error: 'foreign origin' }, { status: 403 })
  const name = url.pathname.slice('/_shim/'.length)
  if (request.method === 'GET' && name === 'stats') return Response.json(shim.stats.read())
  if (request.method === 'GET' && name === 'faults') return Response.json(faults.list())
  if (request.method === 'DELETE' && name === 'stats') shim.stats.reset()
  else if (request.method === 'DELETE' && name === 'faults') faults.clear()
  else {
    const run = shim.controls[name]
    if (name !== 'faults' && !run) return Response.json({ error: 'unknown control' }, { status: 404 })
    try {
      const text = await request.text()
      const body = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>
      if (!run)
        return Response.json({ ids: faults.add((Array.isArray(body) ? body : [body]) as FaultRule[]) })
      const result = await run(request.method === 'GET' ? Object.fromEntries(url.searchParams) : body)
      shim.hosted.persist()
      return Response.json(result ?? { ok: true })
    } catch (error) {
      return Response.json({ error: error instanceof Error ? error.message : String(error) }, { status: 400 })
    }
  }
  return Response.json({ ok: true })
}

async function toRequest(incoming: IncomingMessage): Promise<Request | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY) return undefined
    chunks.push(chunk)
  }
  const headers = new Headers()
  for (const [name, value] of Object.entries(incoming.headers)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) headers.append(name, one)
  }
  const method = incoming.method ?? 'GET'
  const body = method === 'GET' || method === 'HEAD' ? null : Buffer.concat(chunks)
  return new Request(new URL(incoming.url ?? '/', `http://${incoming.headers.host ?? '127.0.0.1'}`), {
    method,
    headers,
    body,
  })
}

async function send(outgoing: ServerResponse, response: Response): Promise<void> {
  const body = Buffer.from(await response.arrayBuffer())
  const headers: Record<string, string | string[]> = {}
  for (const [name, value] of response.headers) {
    if (name !== 'content-length' && name !== 'transfer-encoding') headers[name] = value
  }
  const cookies = response.headers.getSetCookie()
  if (cookies.length > 0) headers['set-cookie'] = cookies
  // No body goes with these, and Node would not take one.
  if (response.status === 204 || response.status === 304) outgoing.writeHead(response.status, headers).end()
  else outgoing.writeHead(response.status, { ...headers, 'content-length': body.length }).end(body)
}

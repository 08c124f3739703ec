import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { loadHttp } from './http.ts'
import { COUNTER, templateOf } from './template.ts'

let server: Server | undefined

afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

async function loadOn(answer: (response: ServerResponse, seen: Set<string>) => void) {
  const seen = new Set<string>()
  let sockets = 0
  server = createServer((request, response) => {
    seen.add(request.headers['x-count'] as string)
    answer(response, seen)
  })
  server.on('connection', () => sockets++)
  const listening = server
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  const { port } = listening.address() as AddressInfo
  const request = templateOf(`GET / HTTP/1.1\r\nHost: x.test\r\nX-Count: ${COUNTER}\r\n\r\n`)
  const result = await loadHttp({ kind: 'http', port, connections: 3, seconds: 0.05, request, status: 200 })
  return { result, requests: seen.size, sockets }
}

it('counts answers of known length, each from a request of its own, over sockets that stay open', async () => {
  const { result, requests, sockets } = await loadOn((response) =>
    response.writeHead(200, { 'content-length': 40_000 }).end('x'.repeat(40_000)),
  )
  expect({ requests: result.requests, errors: result.errors, sockets }).toEqual({
    requests,
    errors: 0,
    sockets: 3,
  })
  expect(result.p50).toBeGreaterThan(0)
  expect(result.p99).toBeGreaterThanOrEqual(result.p50)
})

it('waits for the end of an answer that comes in chunks', async () => {
  const { result, requests } = await loadOn((response) => {
    response.write('one')
    setImmediate(() => response.end('two'))
  })
  expect({ requests: result.requests, errors: result.errors }).toEqual({ requests, errors: 0 })
})

it('does not take a refusal for an answer', async () => {
  const { result, requests } = await loadOn((response) => response.writeHead(503).end('too much'))
  expect({ requests: result.requests, errors: result.errors }).toEqual({ requests: 0, errors: requests })
  expect(result.first_error).toMatch(/^503 .*too much/s)
})

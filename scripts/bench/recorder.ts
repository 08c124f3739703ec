// Stands before the gateway while the world is made, so that what the Worker sends to Postgres is known from the Worker
// itself. It is also the issuer whose keys the Worker checks a push with.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'

export interface Recorded {
  query: string
  params: (string | null)[]
}

export interface Recorder {
  url: string
  /** What was sent to the database during `work`: a list of statements for each round trip. */
  during: (work: () => Promise<unknown>) => Promise<Recorded[][]>
  signPush: (claims: { audience: string; email: string }) => Promise<string>
  stop: () => Promise<void>
}

export async function startRecorder(gatewayUrl: string): Promise<Recorder> {
  const { publicKey, privateKey } = await generateKeyPair('RS256')
  const keys = { keys: [{ ...(await exportJWK(publicKey)), kid: 'bench', alg: 'RS256', use: 'sig' }] }
  let seen: Recorded[][] = []
  const server = createServer((request, response) => {
    void (async () => {
      if (request.method === 'GET') {
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(keys))
        return
      }
      const chunks: Buffer[] = []
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
      const body = Buffer.concat(chunks).toString('utf8')
      seen.push(readStatements(body))
      const headers = Object.entries(request.headers).filter(([name]) => name.startsWith('neon-'))
      const answer = await fetch(`${gatewayUrl}${request.url}`, {
        method: 'POST',
        headers: Object.fromEntries(headers) as Record<string, string>,
        body,
      })
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
    })().catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    during: async (work) => {
      seen = []
      await work()
      return seen
    },
    signPush: async ({ audience, email }) =>
      await new SignJWT({ email, email_verified: true })
        .setProtectedHeader({ alg: 'RS256', kid: 'bench' })
        .setIssuer(url)
        .setAudience(audience)
        .setIssuedAt()
        .setExpirationTime('1h')
        .sign(privateKey),
    stop: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function readStatements(body: string): Recorded[] {
  type Sent = { query: string; params?: (string | number | boolean | null)[] }
  const sent = JSON.parse(body) as Sent | { queries: Sent[] }
  return ('queries' in sent ? sent.queries : [sent]).map(({ query, params }) => ({
    query,
    params: (params ?? []).map((value) => (value === null ? null : String(value))),
  }))
}

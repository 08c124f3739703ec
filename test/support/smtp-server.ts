// Real SMTP servers (npm's smtp-server) on loopback, one for each test that asks, and before them a line that breaks where the
// test wants it to. Asked for by HTTP, because the tests run in workerd.
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, connect, type Server, type Socket } from 'node:net'
import { json } from 'node:stream/consumers'
import { SMTPServer } from 'smtp-server'
import { readCertificate } from './certificates.ts'
import {
  type FaultAct,
  type FaultPhase,
  type ReceivedMail,
  SMTP_PASSWORD,
  SMTP_USER,
  type SmtpScenario,
} from './smtp-scenario.ts'

export async function startSmtp(): Promise<{ url: string; close(): Promise<void> }> {
  const scenarios = new Map<number, { mails: ReceivedMail[]; servers: (Server | SMTPServer)[] }>()
  const http = createHttpServer((request, response) => {
    void (async () => {
      const port = Number(new URL(request.url ?? '/', 'http://smtp').searchParams.get('port'))
      const answer =
        request.method === 'POST'
          ? await listen(scenarios, (await json(request)) as SmtpScenario)
          : (scenarios.get(port)?.mails ?? [])
      response.setHeader('Content-Type', 'application/json').end(JSON.stringify(answer))
    })().catch((error: unknown) => response.writeHead(500).end(String(error)))
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    close: async () => {
      for (const { servers } of scenarios.values())
        for (const server of servers) server.close(() => undefined)
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
    },
  }
}

async function listen(
  scenarios: Map<number, { mails: ReceivedMail[]; servers: (Server | SMTPServer)[] }>,
  scenario: SmtpScenario,
): Promise<{ port: number; healthy: number }> {
  const mails: ReceivedMail[] = []
  const server = createSmtp(scenario, mails)
  server.on('error', () => undefined)
  const port = await new Promise<number>((resolve) => {
    const listening = server.listen(0, '127.0.0.1', () => resolve((listening.address() as AddressInfo).port))
  })
  const { fault } = scenario
  if (!fault) {
    scenarios.set(port, { mails, servers: [server] })
    return { port, healthy: port }
  }
  const line = createServer((client) => breakLine(client, port, fault))
  const broken = await new Promise<number>((resolve) => {
    line.listen(0, '127.0.0.1', () => resolve((line.address() as AddressInfo).port))
  })
  scenarios.set(broken, { mails, servers: [server, line] })
  return { port: broken, healthy: port }
}

function createSmtp(scenario: SmtpScenario, mails: ReceivedMail[]): SMTPServer {
  const { tls = 'off', certificate = 'good', size, utf8 = true, eight_bit = true, auth } = scenario
  return new SMTPServer({
    ...(tls === 'off' ? {} : readCertificate(certificate)),
    secure: tls === 'implicit',
    hideSTARTTLS: tls !== 'starttls',
    hideSMTPUTF8: !utf8,
    hide8BITMIME: !eight_bit,
    ...(size === undefined ? {} : { size }),
    authOptional: auth === undefined,
    authMethods: auth ?? [],
    allowInsecureAuth: tls === 'off',
    disableReverseLookup: true,
    closeTimeout: 100,
    onAuth: ({ username, password }, _session, done) => {
      if (username === SMTP_USER && password === SMTP_PASSWORD) done(null, { user: username })
      else done(Object.assign(new Error('Invalid login'), { responseCode: 535 }))
    },
    onData: (stream, session, done) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope
        mails.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          parameters: { ...(mailFrom === false ? {} : mailFrom.args) },
          user: session.user ?? null,
          secure: session.secure,
          raw: Buffer.concat(chunks).toString('latin1'),
        })
        done(null, 'queued')
      })
    },
  })
}

const phases: Record<string, FaultPhase> = {
  EHLO: 'ehlo',
  STARTTLS: 'starttls',
  AUTH: 'auth',
  MAIL: 'mail',
  RCPT: 'rcpt',
  DATA: 'data',
}

function breakLine(client: Socket, port: number, fault: { phase: FaultPhase; act: FaultAct }): void {
  client.on('error', () => undefined)
  if (fault.phase === 'connect') {
    client.destroy()
    return
  }
  const upstream = connect(port, '127.0.0.1')
  upstream.on('error', () => undefined)
  client.on('close', () => upstream.destroy())
  upstream.on('close', () => client.end())
  let phase: FaultPhase = 'greeting'
  let broken = false
  let body: Buffer | null = null
  const act = () => {
    broken = true
    perform(client, upstream, fault.act)
  }
  upstream.on('data', (data: Buffer) => {
    if (!broken && fault.phase === phase && fault.act === 'extra')
      client.write(Buffer.concat([data, Buffer.from('250 more\r\n')]))
    else if (!broken && fault.phase === 'greeting' && phase === 'greeting') act()
    else if (fault.phase === 'dot' && phase === 'dot' && !broken) act()
    else if (!broken || fault.act.startsWith('5') || fault.act.startsWith('4')) client.write(data)
  })
  client.on('data', (data: Buffer) => {
    if (broken && !/^[45]/.test(fault.act)) return
    if (body) {
      body = Buffer.concat([body, data])
      if (fault.phase === 'body' && !broken) return act()
      if (!body.includes('\r\n.\r\n')) return void upstream.write(data)
      phase = 'dot'
      body = null
      // What answers by itself, or hangs up before, lets the server not have the mail.
      if (fault.phase === 'dot' && /^[45]|close_before/.test(fault.act)) {
        act()
        upstream.destroy()
        return
      }
      upstream.write(data)
      return
    }
    phase = phases[data.toString('latin1').split(/[ \r]/)[0]?.toUpperCase() ?? ''] ?? phase
    if (phase === fault.phase && fault.act !== 'extra') return act()
    if (phase === 'data') body = Buffer.alloc(0)
    upstream.write(data)
  })
}

function perform(client: Socket, upstream: Socket, act: FaultAct): void {
  switch (act) {
    case 'close':
    case 'close_before':
      client.destroy()
      return
    case 'hang':
      return
    case 'garbage':
      client.write('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
      return
    case 'endless_lines':
      flood(client, '250-and another thing\r\n'.repeat(100))
      return
    case 'endless_line':
      flood(client, 'x'.repeat(2000))
      return
    case 'drip':
      drip(client)
      return
    case 'extra':
      return
    default:
      client.write(`${act}\r\n`)
      if (act.startsWith('421')) {
        client.end()
        upstream.destroy()
      }
  }
}

function flood(client: Socket, text: string): void {
  const more = () => {
    while (!client.destroyed && client.write(text));
  }
  client.on('drain', more)
  more()
}

/** As slow as a server may be that never stops for long. */
function drip(client: Socket): void {
  const letters = setInterval(() => client.write('2'), 50)
  client.on('close', () => clearInterval(letters))
}

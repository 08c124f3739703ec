// Asks the node side for an SMTP server (smtp-server.ts).
import { inject } from 'vitest'
import type { ReceivedMail, SmtpScenario } from './smtp-scenario'

export interface TestSmtp {
  port: number
  /** The same server, past the line that breaks. */
  healthy: number
  mails(): Promise<ReceivedMail[]>
}

export async function listenSmtp(scenario: SmtpScenario = {}): Promise<TestSmtp> {
  const control = inject('smtpUrl')
  const response = await fetch(control, { method: 'POST', body: JSON.stringify(scenario) })
  if (!response.ok) throw new Error(`No SMTP server: ${await response.text()}`)
  const { port, healthy } = (await response.json()) as { port: number; healthy: number }
  return {
    port,
    healthy,
    mails: async () => (await fetch(`${control}/?port=${port}`)).json(),
  }
}

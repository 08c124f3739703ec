// The database of the workers project: once for the whole run.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestProject } from 'vitest/node'
import './provided.ts'
import { workerSettings } from './settings.ts'

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'services.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })
  const [line] = (await Promise.race([once(lines, 'line'), once(child, 'exit')])) as [unknown]
  if (typeof line !== 'string') throw new Error('The test database did not start')
  const services = JSON.parse(line) as {
    ownerUrl: string
    DATABASE_URL: string
    NEON_GATEWAY_URL: string
    google: string
    slack_webhook: string
    smtp: string
  }
  project.provide('ownerUrl', services.ownerUrl)
  project.provide('googleUrl', services.google)
  project.provide('smtpUrl', services.smtp)
  project.provide('workerSettings', workerSettings(services))
  return async () => {
    const exited = once(child, 'exit')
    child.stdin.end()
    await exited
  }
}

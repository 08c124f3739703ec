import type { LocalFile } from './local-file.ts'
import { bold, dim, green, say } from './say.ts'

export function printSummary(local: LocalFile, startedAt: number): void {
  const row = (name: string, value: string, note = '') =>
    say(`  ${name.padEnd(12)}${bold(value)}  ${dim(note)}`.trimEnd())
  say()
  say(`${green('Inlet is ready')} ${dim(`after ${((Date.now() - startedAt) / 1000).toFixed(1)} s`)}`)
  say()
  row('API', local.urls.api)
  row('Docs', local.urls.docs)
  if (local.urls.google) row('Google', local.urls.google, 'emulated; mailboxes and sign-in')
  if (local.urls.slack) row('Slack', local.urls.slack, 'emulated; every notification')
  row('Operator', local.operator.username, local.operator.password)
  if (local.seeded) {
    row('Demo', local.demo.email, local.demo.password)
    row('Mailbox', local.demo.mailbox, `connected; organization "${local.demo.slug}"`)
    row('Form', local.urls.form)
    row('Mail', `${local.urls.api}/api/v1/sends`, 'all outgoing mail, as the demo user')
  }
  say()
  if (local.seeded && local.demo.site_token) {
    say('Post it a lead, as a backend would:')
    say(`  ${bold(`curl ${local.urls.inbound_leads} \\`)}`)
    say(
      `  ${bold(`  -H 'Authorization: Bearer ${local.demo.site_token}' -H 'Content-Type: application/json' \\`)}`,
    )
    say(`  ${bold(`  -d '{"email":"ada@buyer.test","message":"10 seats?"}'`)}`)
  }
  if (local.seeded && local.urls.google) {
    say(
      `Send it a mail:  ${bold('npm run demo:mail -- --from ada@buyer.test --subject "Pricing?" --body "10 seats?"')}`,
    )
  }
  say(
    dim(
      `Everything else is in ${local.data_dir}/local.json, the logs in ${local.data_dir}/logs. Ctrl-C ends it all.`,
    ),
  )
  say()
}

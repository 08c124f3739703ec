import { consume } from '#platform/queue'
import { tick } from '#platform/scheduler'
import { jobs } from '#registry/jobs'
import { sweeps } from '#registry/sweeps'
import { createApp } from './app'
import { takeEmail } from './email'

export { Directory } from '#do/directory'
export { IngestBuffer } from '#do/ingest-buffer'
export { Mailbox } from '#do/mailbox'

const app = createApp()

export default {
  fetch: app.fetch,
  email: (message, env, execution) => takeEmail(message, env, execution),
  queue: (batch, env, execution) => consume(batch, env, execution, jobs),
  scheduled: (event, env, execution) => tick(event, env, execution, sweeps),
} satisfies ExportedHandler<Env>

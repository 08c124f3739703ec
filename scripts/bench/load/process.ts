// The load generator in a process of its own: what it costs must not be counted as the server's.
import { messageOf } from '../../stack/say.ts'
import { loadHttp } from './http.ts'
import type { LoadJob } from './job.ts'
import { loadPostgres } from './postgres.ts'

process.on('disconnect', () => process.exit(0))
process.on('message', (job: LoadJob) => {
  const done = job.kind === 'http' ? loadHttp(job) : loadPostgres(job)
  done.then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: messageOf(error) }),
  )
})

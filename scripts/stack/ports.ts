import { createServer } from 'node:net'
import { StartError } from './say.ts'

/** Found out before anything starts, and named with what it is for. */
export async function requireFreePorts(wanted: { port: number; purpose: string }[]): Promise<void> {
  const checked = await Promise.all(
    wanted.map(async ({ port, purpose }) => {
      const problem = await problemOf(port)
      return problem && `port ${port} (${purpose}) ${problem}`
    }),
  )
  const problems = checked.filter((problem) => problem !== undefined)
  if (problems.length > 0) throw new StartError(`${problems.join(', ')}; give another PORT`)
}

async function problemOf(port: number): Promise<string | undefined> {
  const server = createServer()
  return await new Promise((resolve) => {
    server.once('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code === 'EADDRINUSE' ? 'is in use' : `cannot be opened (${code})`),
    )
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(undefined)))
  })
}

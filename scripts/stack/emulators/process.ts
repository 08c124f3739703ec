// The emulated providers in a process of their own.
import { serveParent } from '../supervisor.ts'
import { type GoogleOptions, startGoogle } from './google.ts'
import { type SlackOptions, startSlack } from './slack.ts'

export interface EmulatorsConfig {
  google: GoogleOptions
  slack: SlackOptions
}

serveParent<EmulatorsConfig>(async ({ google, slack }) => {
  const servers = [await startGoogle(google), await startSlack(slack)]
  return { close: async () => void (await Promise.all(servers.map(async (server) => await server.close()))) }
})

// Emulated Slack: incoming webhooks and the Web API, with messages that survive a restart.
import { join } from 'node:path'
import { SLACK_TOKEN } from './slack-names.ts'
import { hostEmulator } from './host.ts'
import { type EmulatorServer, serveShim } from './server.ts'
import { Stats } from './faults.ts'
import { EmulatorState } from './state.ts'

export interface SlackOptions {
  port: number
  stateDir: string
}

export async function startSlack({ port, stateDir }: SlackOptions): Promise<EmulatorServer> {
  const state = new EmulatorState(join(stateDir, 'slack.sqlite'))
  const hosted = await hostEmulator({
    service: 'slack',
    baseUrl: `http://127.0.0.1:${port}`,
    seed: {
      tokens: [
        { token: SLACK_TOKEN, type: 'bot', scopes: ['chat:write', 'channels:read', 'channels:history'] },
      ],
    },
    withDefaults: true,
    transient: ['slack.tokens'],
    state,
  })
  const server = await serveShim(port, {
    hosted,
    stats: new Stats(),
    handle: async (request) => await hosted.app.fetch(request),
    controls: {
      /** Everything that was posted, oldest first. */
      messages: async () => ({ messages: hosted.store.collections.get('slack.messages')?.all() ?? [] }),
    },
  })
  return {
    url: server.url,
    close: async () => {
      await server.close()
      state.close()
    },
  }
}

// One service of `emulate`, run inside our process so that its state can be kept. The package offers no way to save
// or restore its built-in services, so we listen in where its server hands the store to the service's plug-in.
import { readFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { createEmulator } from 'emulate'
import { StartError } from '../say.ts'
import type { EmulatorState } from './state.ts'

export interface Row {
  id: number
  [field: string]: unknown
}

export interface Collection {
  indexFields: string[]
  all(): Row[]
  findBy(field: string, value: string): Row[]
  findOneBy(field: string, value: string): Row | undefined
  insert(row: Record<string, unknown>): Row
  update(id: number, change: Record<string, unknown>): Row | undefined
  delete(id: number): boolean
  clear(): void
  restore(snapshot: { items: Row[]; autoId: number }): void
}

export interface Store {
  collections: Map<string, Collection>
  /** Loose values beside the collections: pending codes, refresh tokens, watches. */
  _data: Map<string, unknown>
  setData(key: string, value: unknown): void
  reset(): void
}

interface EmulatorApp {
  fetch: (request: Request) => Promise<Response>
  matchedRoute: (method: string, path: string) => { path: string } | undefined
}

/** Access token → who it speaks for. */
type TokenMap = Map<string, { login: string; id: number; scopes: string[] }>

export interface HostedEmulator {
  app: EmulatorApp
  store: Store
  tokens: TokenMap
  /** To be called after every request that may have changed something, before it is answered. */
  persist: () => void
}

interface Plugin {
  register(app: EmulatorApp, store: Store, webhooks: unknown, baseUrl: string, tokens: TokenMap): void
  seed?(store: Store, baseUrl: string): void
}

interface PluginModule {
  seedFromConfig(store: Store, baseUrl: string, config: unknown): void
}

export interface HostOptions {
  service: 'google' | 'slack'
  baseUrl: string
  seed: Record<string, unknown>
  /** The service's own demonstration data. */
  withDefaults: boolean
  /** Collections that come from the seed at every start, because they depend on settings. */
  transient: string[]
  state: EmulatorState
}

export async function hostEmulator(options: HostOptions): Promise<HostedEmulator> {
  const { service, baseUrl, seed, state } = options
  const module = await pluginOf(service)
  const plugin = module[`${service}Plugin`] as Plugin
  let hosted: Omit<HostedEmulator, 'persist'> | undefined
  const register = plugin.register.bind(plugin)
  plugin.register = (app, store, webhooks, url, tokens) => {
    hosted = { app, store, tokens }
    register(app, store, webhooks, url, tokens)
  }
  try {
    const emulator = await createEmulator({ service, port: 0, baseUrl, seed: { [service]: seed } })
    // Its own listener is not needed: our server calls the app directly.
    await emulator.close()
  } finally {
    plugin.register = register
  }
  if (!hosted)
    throw new StartError('emulate no longer hands its store to the plug-in; use the pinned version 0.12.2')
  const { store } = hosted
  if (!options.withDefaults) {
    store.reset()
    module.seedFromConfig(store, baseUrl, seed)
  }
  state.restore(store, options.transient)
  // What the seed has and the saved state has not yet, such as an account that came with a newer version.
  if (!options.withDefaults) module.seedFromConfig(store, baseUrl, seed)
  state.follow(store, options.transient)
  return { ...hosted, persist: () => state.saveData(store) }
}

async function pluginOf(service: string): Promise<PluginModule & Record<string, unknown>> {
  const entry = import.meta.resolve('emulate')
  const source = readFileSync(fileURLToPath(entry), 'utf8')
  const file = new RegExp(
    `import\\("(\\./dist-\\w+\\.js)"\\);\\s+return \\{\\s*plugin: mod\\.${service}Plugin`,
  ).exec(source)
  if (!file?.[1]) throw new StartError(`emulate has no ${service} plug-in where version 0.12.2 has it`)
  return (await import(new URL(file[1], pathToFileURL(fileURLToPath(entry))).href)) as PluginModule &
    Record<string, unknown>
}

// The built Worker in workerd itself, without Miniflare: `workerd serve` with a configuration that is made here.
import { spawn } from 'node:child_process'
import { copyFileSync, closeSync, mkdirSync, openSync, readdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { WorkerBundle } from '../stack/bundle.ts'
import { endProcess } from '../stack/processes.ts'
import { StartError } from '../stack/say.ts'
import { tail } from '../stack/supervisor.ts'
import type { BenchRegistry } from './scratch.ts'

export interface WorkerdOptions {
  /** A folder of its own for the configuration and the Durable Objects. */
  dir: string
  bundle: WorkerBundle | 'empty'
  env: Record<string, string>
  registry: BenchRegistry
  assetsDir: string
  inspect?: boolean
}

export interface Workerd {
  pid: number
  port: number
  inspectorPort: number | undefined
  stop: () => Promise<void>
}

/** Workerd has producers but no queues: it posts what is sent to a service, and this one takes it and drops it. */
export const QUEUES_ARE = 'queue bindings lead to a service in workerd that takes every message and drops it'

const QUEUE_SINK = `const answer = JSON.stringify({ metadata: { metrics: { backlogCount: 0, backlogBytes: 0, oldestMessageTimestamp: 0 } } })
export default { async fetch(request) { await request.arrayBuffer(); return new Response(answer, { headers: { 'content-type': 'application/json' } }) } }`

const EMPTY = "export default { fetch: () => new Response('ok') }"

export async function startWorkerd(options: WorkerdOptions): Promise<Workerd> {
  const config = writeConfig(options)
  const logFile = join(options.dir, 'workerd.log')
  const log = openSync(logFile, 'a')
  const args = ['serve', config, '--control-fd=3']
  if (options.inspect) args.push('--inspector-addr=127.0.0.1:0')
  // Its console goes nowhere: in production the log lines leave by another way than a pipe that we would have to read.
  const child = spawn(workerdBinary(), args, { stdio: ['ignore', 'ignore', log, 'pipe'], detached: true })
  closeSync(log)
  const pid = child.pid ?? 0
  options.registry.add('workerd', pid)
  const ended = new Promise<never>((_, reject) => {
    child.once('error', reject)
    child.once('exit', (code, by) => {
      options.registry.remove(pid)
      reject(new StartError(`workerd ended with ${by ?? code}${tail(logFile, 8)}`))
    })
  })
  ended.catch(() => undefined)
  const ports = await Promise.race([listening(child.stdio[3] as Readable, options.inspect ?? false), ended])
  return { pid, ...ports, stop: async () => await endProcess(pid) }
}

async function listening(
  control: Readable,
  inspect: boolean,
): Promise<{ port: number; inspectorPort: number | undefined }> {
  let port: number | undefined
  let inspectorPort: number | undefined
  for await (const line of createInterface(control)) {
    const message = JSON.parse(line) as { event: string; port: number }
    if (message.event === 'listen') port = message.port
    if (message.event === 'listen-inspector') inspectorPort = message.port
    if (port !== undefined && (!inspect || inspectorPort !== undefined)) {
      // Nothing more is said; an open pipe that nobody reads does no harm either.
      control.resume()
      return { port, inspectorPort }
    }
  }
  throw new StartError('workerd does not say where it listens')
}

/** The one that Miniflare, and so `npm start`, runs. */
function workerdBinary(): string {
  const miniflare = createRequire(import.meta.url).resolve('miniflare')
  const { default: path } = createRequire(miniflare)('workerd') as { default: string }
  return path
}

function writeConfig({ dir, bundle, env, assetsDir }: WorkerdOptions): string {
  mkdirSync(join(dir, 'objects'), { recursive: true })
  const worker = bundle === 'empty' ? emptyWorker(dir) : builtWorker(dir, bundle, env)
  writeFileSync(join(dir, 'queue-sink.js'), QUEUE_SINK)
  const text = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
${worker}
    )),
    (name = "queue-sink", worker = (
      modules = [(name = "sink.js", esModule = embed "queue-sink.js")],
      compatibilityDate = "2026-11-01",
    )),
    (name = "assets", disk = (path = ${quote(assetsDir)})),
    (name = "objects", disk = (path = ${quote(join(dir, 'objects'))}, writable = true)),
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`
  const file = join(dir, 'config.capnp')
  writeFileSync(file, text)
  return file
}

function emptyWorker(dir: string): string {
  writeFileSync(join(dir, 'empty.js'), EMPTY)
  return `      modules = [(name = "empty.js", esModule = embed "empty.js")],
      compatibilityDate = "2026-11-01",
      compatibilityFlags = ["nodejs_compat"],`
}

interface Bindings {
  compatibilityDate: string
  compatibilityFlags: string[]
  queueProducers?: Record<string, unknown>
  durableObjects?: Record<string, { className: string; useSQLite?: boolean }>
  assets?: { binding?: string }
}

function builtWorker(dir: string, bundle: WorkerBundle, env: Record<string, string>): string {
  const { compatibilityDate, compatibilityFlags, queueProducers, durableObjects, assets } =
    bundle.options as unknown as Bindings
  const objects = Object.entries(durableObjects ?? {})
  const bindings = [
    ...Object.entries(env).map(([name, value]) => `(name = ${quote(name)}, text = ${quote(value)})`),
    ...Object.keys(queueProducers ?? {}).map((name) => `(name = ${quote(name)}, queue = "queue-sink")`),
    ...objects.map(
      ([name, { className }]) => `(name = ${quote(name)}, durableObjectNamespace = ${quote(className)})`,
    ),
    ...(assets?.binding ? [`(name = ${quote(assets.binding)}, service = "assets")`] : []),
  ]
  const namespaces = objects.map(
    ([, { className, useSQLite }]) =>
      `(className = ${quote(className)}, uniqueKey = ${quote(className)}, enableSql = ${useSQLite ?? false})`,
  )
  const list = (items: string[]) => `[\n        ${items.join(',\n        ')}\n      ]`
  return `      modules = ${list(modulesOf(dir, bundle.dir))},
      compatibilityDate = ${quote(compatibilityDate)},
      compatibilityFlags = [${compatibilityFlags.map(quote).join(', ')}],
      bindings = ${list(bindings)},
      durableObjectNamespaces = ${list(namespaces)},
      durableObjectStorage = (localDisk = "objects"),`
}

const KINDS: Record<string, string> = {
  js: 'esModule',
  mjs: 'esModule',
  wasm: 'wasm',
  bin: 'data',
  txt: 'text',
  html: 'text',
  sql: 'text',
}

/** What would be uploaded; the first one is the entry. */
export function modulesIn(dir: string): { name: string; kind: string }[] {
  const names = readdirSync(dir, { recursive: true, encoding: 'utf8' })
  const modules = names.flatMap((name) => {
    const kind = KINDS[name.split('.').at(-1) ?? '']
    return kind ? [{ name, kind }] : []
  })
  return modules.toSorted((a, b) => Number(b.name === 'index.js') - Number(a.name === 'index.js'))
}

function modulesOf(dir: string, bundleDir: string): string[] {
  return modulesIn(bundleDir).map(({ name, kind }, i) => {
    const copy = `module-${i}`
    copyFileSync(join(bundleDir, name), join(dir, copy))
    return `(name = ${quote(name)}, ${kind} = embed ${quote(copy)})`
  })
}

function quote(text: string): string {
  // Cap'n Proto's strings have JSON's escapes except \u.
  if (/[^ -~]/.test(text)) throw new StartError('A setting of the measured Worker must be plain ASCII')
  return JSON.stringify(text)
}

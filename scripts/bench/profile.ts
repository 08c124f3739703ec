// Where the CPU time of a hot request goes: V8's own profile of the built bundle in workerd, read back to our files
// through the source map.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { SourceMap, type SourceMapping } from 'node:module'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import WebSocket from 'ws'
import { say } from '../stack/say.ts'
import { packageOf } from './bundle-size.ts'
import type { Ending } from './ending.ts'
import { LoadGenerator } from './load/generator.ts'
import { cpuBetween, takeSnapshot } from './machine.ts'
import { figure, heading, table } from './report.ts'
import { hotRequests } from './throughput.ts'
import { createWorld, serve, type WorldOptions } from './world.ts'

interface ProfileNode {
  id: number
  callFrame: { functionName: string; url: string; lineNumber: number; columnNumber: number }
  children?: number[]
}

interface CpuProfile {
  nodes: ProfileNode[]
  samples: number[]
}

interface Place {
  package: string
  place: string
  function: string
}

interface Share {
  name: string
  share: number
}

export interface RouteProfile {
  name: string
  file: string
  requests: number
  /** Of workerd, all threads, in milliseconds per request; null where the machine does not tell. */
  cpu: number | null
  /** Shares of the time in which the isolate was not idle. */
  packages: Share[]
  functions: Share[]
}

const SECONDS = 5
const CONCURRENCY = 16

export async function takeProfiles(dir: string, on: WorldOptions, ending: Ending): Promise<RouteProfile[]> {
  mkdirSync(dir, { recursive: true })
  const world = await createWorld(on)
  ending.add('recorder', world.recorder.stop)
  const workerd = await serve(on, 'profiled', world.env, { inspect: true })
  ending.add('workerd', workerd.stop)
  const generator = new LoadGenerator()
  ending.add('load generator', async () => await generator.stop())
  const map = new SourceMap(JSON.parse(readFileSync(join(on.bundle.dir, 'index.js.map'), 'utf8')))
  const profiles: RouteProfile[] = []
  for (const [name, job] of await hotRequests(world, workerd, CONCURRENCY, SECONDS)) {
    await generator.run({ ...job, seconds: 1 })
    const inspector = await Inspector.open(workerd.inspectorPort ?? 0)
    await inspector.call('Profiler.enable')
    await inspector.call('Profiler.setSamplingInterval', { interval: 200 })
    await inspector.call('Profiler.start')
    const before = takeSnapshot()
    const { requests } = await generator.run(job)
    const cpu = cpuBetween(before, takeSnapshot(), workerd.pid)
    const { profile } = (await inspector.call('Profiler.stop')) as { profile: CpuProfile }
    inspector.close()
    const file = join(dir, `${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}.cpuprofile`)
    writeFileSync(file, JSON.stringify(profile))
    const perRequest = cpu === undefined ? null : cpu / requests
    profiles.push({ name, file, requests, cpu: perRequest, ...summarize(profile, map) })
  }
  return profiles
}

export function printProfiles(profiles: RouteProfile[]): void {
  for (const { name, file, requests, cpu, packages, functions } of profiles) {
    const cost = cpu === null ? '' : `; ${figure(cpu)} ms of CPU each while profiled`
    heading(name, `${requests} requests${cost}; ${file}`)
    const rows = (list: Share[]) =>
      list.map(({ name: of, share }) => [
        of,
        `${(share * 100).toFixed(1)} %`,
        cpu === null ? 'n/a' : (share * cpu).toFixed(3),
      ])
    table(['self time by package', '', 'ms'], rows(packages.slice(0, 16)))
    say()
    table(['by function', '', 'ms'], rows(functions.slice(0, 40)))
  }
}

function summarize(
  { nodes, samples }: CpuProfile,
  map: SourceMap,
): Pick<RouteProfile, 'packages' | 'functions'> {
  const places = new Map(nodes.map((node) => [node.id, placeOf(node, map)]))
  const packages = new Map<string, number>()
  const functions = new Map<string, number>()
  let total = 0
  // Samples, not the time between them: a wait is billed to whatever ran before it.
  for (const id of samples) {
    const place = places.get(id)
    if (!place || place.function === '(idle)') continue
    total++
    packages.set(place.package, (packages.get(place.package) ?? 0) + 1)
    const name = `${place.place} ${place.function}`.trim()
    functions.set(name, (functions.get(name) ?? 0) + 1)
  }
  const shares = (counts: Map<string, number>) =>
    [...counts]
      .map(([name, count]) => ({ name, share: count / total }))
      .toSorted((one, other) => other.share - one.share)
  return { packages: shares(packages), functions: shares(functions) }
}

function placeOf({ callFrame }: ProfileNode, map: SourceMap): Place {
  const { functionName, url, lineNumber, columnNumber } = callFrame
  const entry =
    lineNumber >= 0
      ? (map.findEntry(lineNumber, columnNumber) as Partial<SourceMapping> & { name?: string })
      : {}
  if (entry.originalSource === undefined || url.startsWith('node'))
    return {
      package: url || functionName || '(program)',
      place: url,
      function: functionName || '(anonymous)',
    }
  const source = entry.originalSource.replace(/^(\.\.\/)+/, '')
  return {
    package: packageOf(source),
    place: `${source.split('node_modules/').at(-1)}:${(entry.originalLine ?? 0) + 1}`,
    function: entry.name ?? functionName,
  }
}

class Inspector {
  readonly #socket: WebSocket
  #id = 0

  private constructor(socket: WebSocket) {
    this.#socket = socket
  }

  static async open(port: number): Promise<Inspector> {
    for (let attempt = 0; ; attempt++) {
      const response = await fetch(`http://127.0.0.1:${port}/json/list`)
      const targets = (await response.json()) as { id: string; webSocketDebuggerUrl: string }[]
      const target = targets.find(({ id }) => id.includes('main'))
      if (target) {
        const socket = new WebSocket(target.webSocketDebuggerUrl, { maxPayload: 0 })
        await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
        return new Inspector(socket)
      }
      if (attempt > 50) throw new Error(`workerd has no target to profile: ${JSON.stringify(targets)}`)
      await delay(100)
    }
  }

  call(method: string, params: Record<string, unknown> = {}): Promise<unknown> {
    const id = ++this.#id
    return new Promise((resolve, reject) => {
      const onMessage = (data: Buffer) => {
        const message = JSON.parse(data.toString('utf8')) as {
          id?: number
          result?: unknown
          error?: unknown
        }
        if (message.id !== id) return
        this.#socket.off('message', onMessage)
        if (message.error) reject(new Error(JSON.stringify(message.error)))
        else resolve(message.result)
      }
      this.#socket.on('message', onMessage)
      this.#socket.send(JSON.stringify({ id, method, params }))
    })
  }

  close(): void {
    this.#socket.close()
  }
}

// `npm run bench`: how fast the product is in terms of what it is made of, measured side by side in one run.
import { writeFileSync } from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { buildAssets } from '../stack/assets.ts'
import { buildWorker } from '../stack/bundle.ts'
import { dim, messageOf, red, say, StartError } from '../stack/say.ts'
import { type BundleSize, measureBundle } from './bundle-size.ts'
import { Ending } from './ending.ts'
import { type Ingest, measureIngest } from './ingest.ts'
import { type MailPipeline, measureMails } from './mail-pipeline.ts'
import { type BenchOptions, readOptions, USAGE } from './options.ts'
import { printProfiles, takeProfiles } from './profile.ts'
import {
  printIngest,
  printMails,
  printRoundTrips,
  printSize,
  printStartUp,
  printThroughput,
} from './report.ts'
import { measureRoundTrips, type RoundTripRow } from './round-trips.ts'
import { openScratch, type Scratch } from './scratch.ts'
import { type Services, startServices } from './services.ts'
import { measureStartUp, type StartUp } from './start-up.ts'
import { measureThroughput, type Throughput } from './throughput.ts'
import { QUEUES_ARE } from './workerd.ts'
import { createWorld, serve, type WorldOptions } from './world.ts'

const ROOT = join(import.meta.dirname, '..', '..')

interface Results {
  machine: Record<string, string | number>
  queues: string
  throughput?: Throughput
  ingest?: Ingest
  round_trips?: RoundTripRow[]
  mails?: MailPipeline
  size?: BundleSize
  start_up?: StartUp[]
}

async function bench(options: BenchOptions, ending: Ending): Promise<void> {
  const scratch = await openScratch()
  ending.atExit(() => {
    scratch.registry.killAll()
    scratch.remove()
  })
  const assetsDir = buildAssets(ROOT)
  progress('building the Worker')
  const bundle = await buildWorker(ROOT, ending.signal)
  progress('starting Postgres and the gateway')
  const services = await startServices(scratch, ending)
  const on: WorldOptions = { services, bundle, assetsDir, leads: options.leads }
  const results: Results = { machine: machineOf(scratch, services), queues: QUEUES_ARE }
  printMachine(results)

  if (options.profileDir === undefined) await measureAll(options, on, scratch, results, ending)
  else printProfiles(await takeProfiles(options.profileDir, on, ending))
  if (options.jsonFile !== undefined) {
    writeFileSync(options.jsonFile, `${JSON.stringify(results, null, 2)}\n`)
    say(`\nThe figures are in ${options.jsonFile}.`)
  }
}

async function measureAll(
  { parts, rounds, seconds, mails }: BenchOptions,
  on: WorldOptions,
  scratch: Scratch,
  results: Results,
  ending: Ending,
): Promise<void> {
  const { services, bundle, assetsDir } = on
  const dir = scratch.dir
  if ((['throughput', 'ingest', 'round-trips', 'start-up'] as const).some((part) => parts.has(part))) {
    progress('making two organizations and their leads')
    const world = await createWorld(on)
    ending.add('recorder', world.recorder.stop)
    const { env } = world
    const workerd = await serve(on, 'measured', env)
    ending.add('workerd', workerd.stop)
    const onRound = (round: number) => progress(round === 0 ? 'warming up' : `round ${round} of ${rounds}`)
    if (parts.has('throughput')) {
      results.throughput = await measureThroughput({
        services,
        world,
        workerd,
        rounds,
        seconds,
        ending,
        onRound,
      })
      printThroughput(results.throughput)
    }
    if (parts.has('ingest')) {
      results.ingest = await measureIngest({ on, world, workerd, rounds, seconds, ending, onRound })
      printIngest(results.ingest)
    }
    if (parts.has('round-trips')) {
      results.round_trips = await measureRoundTrips({ services, world, workerd })
      printRoundTrips(results.round_trips)
    }
    await workerd.stop()
    if (parts.has('start-up')) {
      const { registry } = scratch
      const { signal } = ending
      results.start_up = await measureStartUp({ dir, bundle, env, assetsDir, registry, signal })
      printStartUp(results.start_up)
    }
    await world.recorder.stop()
  }
  if (parts.has('mail')) {
    progress('starting the whole stack')
    results.mails = await measureMails({ root: ROOT, scratch, services, bundle, mails, ending })
    printMails(results.mails)
  }
  if (parts.has('size')) {
    progress('building the Worker once more, with a list of its parts')
    results.size = await measureBundle(ROOT, join(dir, 'size'), ending.signal)
    printSize(results.size)
  }
}

function machineOf(scratch: Scratch, services: Services): Results['machine'] {
  const cpus = os.cpus()
  return {
    platform: `${process.platform} ${process.arch}`,
    cpus: cpus.length,
    cpu: cpus[0]?.model ?? '',
    node: process.versions.node,
    postgres: services.version,
    data_in: scratch.inMemory ? 'memory' : 'a folder on disk',
  }
}

function printMachine({ machine, queues }: Results): void {
  say(
    dim(
      `${machine['cpus']} × ${machine['cpu']}, Node ${machine['node']}, PostgreSQL ${machine['postgres']}, its data in ${machine['data_in']}`,
    ),
  )
  say(dim(`In workerd, ${queues}.`))
  if (process.platform !== 'linux') say(dim('CPU time per process is told only by Linux: n/a.'))
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${dim(`${text} …`)}\r`)
}

const ending = new Ending()
try {
  const options = readOptions(process.argv.slice(2))
  if (options === 'help') say(USAGE)
  else await bench(options, ending)
} catch (error) {
  if (!ending.signal.aborted) {
    const text = error instanceof StartError ? error.message : error instanceof Error ? error.stack : ''
    process.stderr.write(`${red('The benchmark stopped:')} ${text ?? messageOf(error)}\n`)
  }
  process.exitCode = 1
}
await ending.end()
process.exit()

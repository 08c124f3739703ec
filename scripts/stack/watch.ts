// `npm run dev`: builds and reloads when the code changes, and migrates when a migration appears.
import { type FSWatcher, existsSync, watch } from 'node:fs'
import { join } from 'node:path'
import { messageOf, warn } from './say.ts'

const QUIET_MS = 150

export interface Reactions {
  onCode: () => Promise<void>
  onMigration: () => Promise<void>
}

export function watchSources(root: string, { onCode, onMigration }: Reactions): { stop: () => void } {
  let pending = new Set<() => Promise<void>>()
  let timer: NodeJS.Timeout | undefined
  let busy = false

  function changed(reaction: () => Promise<void>): void {
    pending.add(reaction)
    clearTimeout(timer)
    timer = setTimeout(() => void react(), QUIET_MS)
  }

  async function react(): Promise<void> {
    // What changes during a build starts the next one.
    if (busy) return
    busy = true
    while (pending.size > 0) {
      const reactions = pending
      pending = new Set()
      // A migration goes first: the new code may need it.
      for (const reaction of [onMigration, onCode]) {
        if (!reactions.has(reaction)) continue
        await reaction().catch((error: unknown) => warn(messageOf(error)))
      }
    }
    busy = false
  }

  const on = (path: string, reaction: () => Promise<void>): FSWatcher[] => {
    const target = join(root, path)
    if (!existsSync(target)) return []
    return [
      watch(target, { recursive: true }, (_, name) => {
        if (!/(\.test\.tsx?|~|\.tmp)$/.test(name ?? '')) changed(reaction)
      }),
    ]
  }
  const watchers = [
    ...['src', 'durable-objects', 'wrangler.toml'].flatMap((path) => on(path, onCode)),
    ...on('migrations', onMigration),
  ]
  return {
    stop: () => {
      clearTimeout(timer)
      for (const watcher of watchers) watcher.close()
    },
  }
}

// `npm run dev`: builds and reloads when the code changes, and migrates when a migration appears.
import { existsSync, type FSWatcher, readdirSync, watch } from 'node:fs'
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

  // One watcher a directory: Node's recursive one loses a file on Linux as soon as an editor replaces it.
  const watchers = new Map<string, FSWatcher>()
  function follow(directory: string, reaction: () => Promise<void>): void {
    if (!existsSync(directory)) return
    for (const each of [directory, ...directoriesIn(directory)]) {
      if (watchers.has(each)) continue
      const watcher = watch(each, (_, name) => {
        if (/(\.test\.tsx?|~|\.tmp|\.swp)$/.test(name ?? '')) return
        follow(directory, reaction)
        changed(reaction)
      })
      watcher.on('error', () => {
        watcher.close()
        watchers.delete(each)
      })
      watchers.set(each, watcher)
    }
  }
  for (const path of ['src', 'durable-objects']) follow(join(root, path), onCode)
  follow(join(root, 'migrations'), onMigration)
  watchers.set(
    'wrangler.toml',
    watch(root, (_, name) => name === 'wrangler.toml' && changed(onCode)),
  )
  return {
    stop: () => {
      clearTimeout(timer)
      for (const watcher of watchers.values()) watcher.close()
    },
  }
}

const directoriesIn = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))

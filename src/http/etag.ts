// ETag on single resources, If-Match on what changes them. A version is a row's `version`, or the instant of its last change.
import type { Context } from 'hono'
import type { AppEnv } from './router'

export type Version = number | Date

function versionText(version: Version): string {
  return version instanceof Date ? version.getTime().toString(36) : String(version)
}

export function setEtag(c: Context<AppEnv>, version: Version): void {
  c.header('ETag', `"${versionText(version)}"`)
}

/** Whether the caller's If-Match allows to change a resource of this version. */
export type Precondition = (version: Version) => boolean

/** `null` when the caller sent no If-Match. A proxy that compresses makes our tags weak, so `W/` is read as ours. */
export function readIfMatch(c: Context<AppEnv>): Precondition | null {
  const header = c.req.header('If-Match')
  if (header === undefined) return null
  const tags = header.split(',').map((tag) => /^(?:W\/)?"?([^"]*)"?$/.exec(tag.trim())?.[1])
  return (version) => tags.includes('*') || tags.includes(versionText(version))
}

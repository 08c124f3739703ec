import { renameSync, writeFileSync } from 'node:fs'

/** A reader sees the old file or the new one, never half of it, also when we are killed in between. */
export function writeFileAtomically(file: string, content: string, mode = 0o644): void {
  const temporary = `${file}.${process.pid}.tmp`
  writeFileSync(temporary, content, { mode })
  renameSync(temporary, file)
}

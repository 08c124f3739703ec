import { writeSync } from 'node:fs'

/** Figures for the person who runs it by hand (E2E_REPORT=1), on one line. */
export function report(figures: Record<string, unknown>): void {
  if (process.env['E2E_REPORT']) writeSync(2, `\n${JSON.stringify(figures)}\n`)
}

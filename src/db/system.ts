// The door past all organizations. The lint lets only sweeps, operations, auth and platform import it.
import { type Database, type Door, SYSTEM_DOOR } from './client'

export function systemDb(ctx: { db: Database }): Door {
  return ctx.db[SYSTEM_DOOR]
}

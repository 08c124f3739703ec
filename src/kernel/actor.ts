import type { Role } from './vocabulary'

export type Actor =
  | { type: 'user'; org_id: string; user_id: string; role: Role; session_id: string }
  | { type: 'operator'; username: string }
  /** Our own machinery: a job, a sweep, a webhook. */
  | { type: 'system'; name: string }

/** Who sees which rows; machines see all of their organization's. */
export interface Scope {
  org_id: string
  user_id?: string
  visibility: 'all'
}

export function actorId(actor: Actor): string {
  switch (actor.type) {
    case 'user':
      return actor.user_id
    case 'operator':
      return actor.username
    case 'system':
      return actor.name
  }
}

// What comes in from outside and must not be lost, also when the database is down: kept sealed, and stored when it answers.

/** Where it belongs, as far as that can be known without the database. */
export type Destination = { org_id: string } | { slug: string } | { send_id: string }

export interface IntakeItem {
  /** The same item has the same id whichever way it takes: a lead's id, where it makes one. */
  id: string
  /** When it reached us. SLA clocks start here, however late it is stored. */
  received_at: Date
  /** As JSON leaves it: an instant in it is text when the item is stored later. */
  payload: Record<string, unknown>
}

/** What became of one item. `code` and `where` name no value: they are shown. */
export type IntakeResult =
  | { outcome: 'stored' | 'known' }
  | { outcome: 'refused'; code: string; where: string | null }
  /** Not this time, and not because of what it says. */
  | { outcome: 'later'; code: string }

/** One kind of item. `C` is the platform's context; the kernel does not know it. */
export interface IntakeKind<C> {
  kind: string
  /**
   * Stores items of one destination in one transaction and one round trip, each exactly once by its id. Answers in their
   * order; throws when the database does not answer, and then all of them come again.
   */
  store(ctx: C, destination: Destination, items: readonly IntakeItem[]): Promise<IntakeResult[]>
}

/** An item in the buffer waits to be stored, or is dead: refused, or too old. */
export const bufferStates = ['waiting', 'dead'] as const
export type BufferState = (typeof bufferStates)[number]

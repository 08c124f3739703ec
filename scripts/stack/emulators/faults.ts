// What goes wrong with a provider, on demand: `POST /_shim/faults` with one rule or a list of them.

export interface FaultRule {
  /** Any method when absent. */
  method?: string
  /** A regular expression on path and query, anywhere in it. */
  path_pattern: string
  /** Lets this many requests pass first. */
  skip?: number
  /** How many requests it hits; 1 when absent, 0 for all. */
  times?: number
  delay_ms?: number
  /** The answer; without one the connection is dropped (unless there is only a delay). */
  status?: number
  headers?: Record<string, string>
  body?: unknown
  /** The provider does its work first: an answer that got lost on its way. */
  after_commit?: boolean
  /** Drops the connection; the default of `after_commit` without a status. */
  drop?: boolean
}

interface Active extends FaultRule {
  id: number
  pattern: RegExp
  left: number
  toSkip: number
  hits: number
}

export interface Fault {
  delayMs: number
  afterCommit: boolean
  /** Undefined: only a delay. */
  outcome: Response | typeof DROP | undefined
}

/** In place of a response: the socket is closed without one. */
export const DROP: unique symbol = Symbol('drop the connection')

export class Faults {
  #rules: Active[] = []
  #nextId = 1

  add(rules: FaultRule[]): number[] {
    return rules.map((rule) => {
      const times = rule.times ?? 1
      const active = {
        ...rule,
        id: this.#nextId++,
        pattern: new RegExp(rule.path_pattern),
        left: times === 0 ? Number.POSITIVE_INFINITY : times,
        toSkip: rule.skip ?? 0,
        hits: 0,
      }
      this.#rules.push(active)
      return active.id
    })
  }

  clear(): void {
    this.#rules = []
  }

  list(): (FaultRule & { id: number; hits: number })[] {
    return this.#rules.map(({ pattern: _pattern, left: _left, toSkip: _skip, ...rule }) => rule)
  }

  take(method: string, path: string): Fault | undefined {
    for (const rule of this.#rules) {
      if (rule.left <= 0 || (rule.method && rule.method.toUpperCase() !== method) || !rule.pattern.test(path))
        continue
      if (rule.toSkip > 0) {
        rule.toSkip--
        continue
      }
      rule.left--
      rule.hits++
      return {
        delayMs: rule.delay_ms ?? 0,
        afterCommit: rule.after_commit ?? false,
        outcome: outcomeOf(rule),
      }
    }
    return undefined
  }
}

function outcomeOf(rule: FaultRule): Fault['outcome'] {
  if (rule.drop || (rule.status === undefined && rule.after_commit)) return DROP
  if (rule.status === undefined) return rule.delay_ms === undefined ? DROP : undefined
  const isText = typeof rule.body === 'string' || rule.body === undefined
  return new Response(isText ? ((rule.body as string | undefined) ?? null) : JSON.stringify(rule.body), {
    status: rule.status,
    headers: { ...(isText ? {} : { 'content-type': 'application/json' }), ...rule.headers },
  })
}

/** How often what was asked for, by route, so that a test can count a provider's calls. */
export class Stats {
  #counts: Record<string, Record<string, number>> = {}

  count(group: string, name: string): void {
    const counts = (this.#counts[group] ??= {})
    counts[name] = (counts[name] ?? 0) + 1
  }

  read(): Record<string, Record<string, number>> {
    return this.#counts
  }

  reset(): void {
    this.#counts = {}
  }
}

// A request, or a parameter, in which some places are different each time: ids, instants and a counter. All of them have
// a fixed width, so that it is encoded once and then only written over.

export interface Hole {
  at: number
  kind: 'counter' | 'ordered_id' | 'random_id' | 'instant'
  /** The same id in two places is one slot. */
  slot: number
}

export interface Template {
  text: string
  holes: Hole[]
}

/** Stands for the counter: `bench-` and twelve hexadecimal digits. */
export const COUNTER = 'bench-000000000000'

const PLACES =
  /bench-[0-9a-f]{12}|[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g

/** `fixed` are the ids that stay as they are; `slots` is shared by the templates of one request. */
export function templateOf(
  text: string,
  fixed: ReadonlySet<string> = new Set(),
  slots = new Map<string, number>(),
): Template {
  if (/[^ -~\r\n\t]/.test(text)) throw new Error('A template is ASCII: its places are counted in bytes')
  const holes = [...text.matchAll(PLACES)].flatMap((match): Hole[] => {
    const [found, version] = match
    if (fixed.has(found)) return []
    if (found.startsWith('bench-')) return [{ at: match.index + 6, kind: 'counter', slot: 0 }]
    if (version === undefined) return [{ at: match.index, kind: 'instant', slot: 0 }]
    const slot = slots.get(found) ?? slots.size
    slots.set(found, slot)
    // Where an id falls in an index depends on whether it grows with time.
    return [{ at: match.index, kind: version === '7' ? 'ordered_id' : 'random_id', slot }]
  })
  return { text, holes }
}

export class Filler {
  #count = Math.floor(Math.random() * 2 ** 46)
  #counter = ''
  #millisecond = 0
  #time = ''
  #instant = ''

  /** To be called once per request. */
  next(): void {
    this.#count++
    this.#counter = this.#count.toString(16).padStart(12, '0')
    const now = Date.now()
    if (now === this.#millisecond) return
    this.#millisecond = now
    this.#time = now.toString(16).padStart(12, '0')
    this.#instant = new Date(now).toISOString()
  }

  fill(buffer: Buffer, holes: readonly Hole[]): void {
    for (const { at, kind, slot } of holes) buffer.write(this.#value(kind, slot), at, 'latin1')
  }

  #value(kind: Hole['kind'], slot: number): string {
    switch (kind) {
      case 'counter':
        return this.#counter
      case 'instant':
        return this.#instant
      case 'ordered_id':
        return `${this.#time.slice(0, 8)}-${this.#time.slice(8)}-7${hex(slot, 3)}-8000-${this.#counter}`
      case 'random_id': {
        const scattered = hex(Math.imul(this.#count | 0, 0x9e3779b1) >>> 0, 8)
        return `${scattered}-${scattered.slice(4)}-8${hex(slot, 3)}-8000-${this.#counter}`
      }
    }
  }
}

const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0')

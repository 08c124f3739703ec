// Reads JSON as it streams in and lets only so much of each string through: of a webhook with 35 MB of files a few kilobytes are
// parsed. It knows JSON's structure by its bytes and leaves the judgement of the rest to JSON.parse.
import { AppError } from '#kernel/errors'
import { GrowingBytes } from './growing-bytes'

/** How much of the string under these names (of objects, joined by dots; arrays have none) is let through. */
interface StringRule {
  max: number
  /** Of a longer one: its beginning, or nothing, or all of it to the side, decoded. */
  longer: 'cut' | 'drop' | 'aside'
}

export interface SieveRules {
  [path: string]: StringRule
}

const OTHER: StringRule = { max: 65_536, longer: 'cut' }
const MAX_DEPTH = 32
/** Of all that is let through. 10,000 recipients take 2 MB. */
const MAX_KEPT = 8_000_000
/** What stands aside is at most this long. */
const MAX_ASIDE = 25_000_000
/** Values are worth many times their bytes once they are parsed. */
const MAX_VALUES = 200_000

const [SPACE, QUOTE, BACKSLASH, COMMA, COLON, U] = [32, 34, 92, 44, 58, 117]
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY] = [123, 125, 91, 93]

interface Level {
  /** Null in an array. */
  key: string | null
  wants_key: boolean
}

interface OpenString {
  is_key: boolean
  rule: StringRule
  start: number
  room: number
  /** An escape of which not all has come yet. */
  escape: number[]
}

export class JsonSieve {
  // A map: `toString` is a name like any other.
  readonly #rules: ReadonlyMap<string, StringRule>
  readonly #kept = new GrowingBytes(65_536, MAX_KEPT)
  readonly #aside = new GrowingBytes(0, MAX_ASIDE)
  readonly #levels: Level[] = []
  #values = 0
  #string: OpenString | null = null
  /** Half a character: the other half is in the next escape. */
  #high_surrogate = 0

  constructor(rules: SieveRules) {
    this.#rules = new Map(Object.entries(rules))
  }

  push(chunk: Uint8Array): void {
    const marks = new Marks(chunk)
    let at = 0
    while (at < chunk.length) {
      at = this.#string === null ? this.#outside(chunk, at) : this.#inside(this.#string, chunk, at, marks)
    }
  }

  /** The JSON that is left, and the string that stands aside. */
  end(): { text: string; aside: Uint8Array | null } {
    const aside = this.#aside.take()
    return { text: new TextDecoder().decode(this.#kept.take()), aside: aside.length === 0 ? null : aside }
  }

  #outside(chunk: Uint8Array, at: number): number {
    const byte = chunk[at] ?? 0
    const level = this.#levels.at(-1)
    switch (byte) {
      case SPACE:
      case 9:
      case 10:
      case 13:
        // One of many, so that two numbers stay two.
        if (this.#kept.last() !== SPACE) this.#kept.push(SPACE)
        return at + 1
      case QUOTE:
        this.#begin(level)
        return at + 1
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        this.#count()
        if (this.#levels.length >= MAX_DEPTH) throw broken()
        this.#levels.push({ key: byte === OPEN_OBJECT ? '' : null, wants_key: byte === OPEN_OBJECT })
        break
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        if (this.#levels.pop() === undefined) throw broken()
        break
      case COMMA:
        this.#count()
        if (level) level.wants_key = level.key !== null
        break
      case COLON:
        if (level) level.wants_key = false
    }
    this.#kept.push(byte)
    return at + 1
  }

  #count(): void {
    if (++this.#values > MAX_VALUES) throw new AppError('too_large', 'The body has too many values.')
  }

  #begin(level: Level | undefined): void {
    this.#kept.push(QUOTE)
    const is_key = level?.wants_key ?? false
    const rule = (is_key ? undefined : this.#rules.get(this.#path())) ?? OTHER
    this.#string = { is_key, rule, start: this.#kept.length, room: rule.max, escape: [] }
  }

  #path(): string {
    return this.#levels.flatMap(({ key }) => (key === null ? [] : [key])).join('.')
  }

  #inside(string: OpenString, chunk: Uint8Array, at: number, marks: Marks): number {
    if (string.escape.length > 0) {
      string.escape.push(chunk[at] ?? 0)
      // \u and four digits; all others are one letter.
      if (string.escape[1] !== U || string.escape.length === 6) this.#unescape(string)
      return at + 1
    }
    const end = marks.next(at)
    if (end === at && chunk[at] === BACKSLASH) {
      const after = this.#skip(string, chunk, at)
      if (after > at) return after
    }
    if (end > at) {
      this.#high_surrogate = 0
      this.#let(string, chunk.subarray(at, end))
    }
    if (end === chunk.length) return end
    if (chunk[end] === BACKSLASH) string.escape.push(BACKSLASH)
    else this.#finish(string)
    return end + 1
  }

  /** An escape that is whole, without an array for each: a mail may be made of nothing else. Returns where it ends, or `at`. */
  #skip(string: OpenString, chunk: Uint8Array, at: number): number {
    const letter = chunk[at + 1] ?? 0
    const end = at + (letter === U ? 6 : 2)
    if (end > chunk.length) return at
    if (string.rule.longer !== 'aside') {
      if (end - at <= string.room) this.#let(string, chunk.subarray(at, end))
      else if (string.room >= 0) this.#let(string, new Uint8Array(string.room + 1))
      return end
    }
    const code = letter === U ? hexAt(chunk, at + 2) : (SHORT.get(letter) ?? letter)
    const isHalf = code >= 0xd800 && code < 0xe000
    if (code < 0 || isHalf || this.#high_surrogate !== 0) return at
    if (this.#aside.length + 3 <= MAX_ASIDE) this.#aside.pushUtf8(code)
    return end
  }

  #unescape(string: OpenString): void {
    const escape = string.escape.splice(0)
    if (string.rule.longer !== 'aside') {
      // All of it or nothing: half an escape would be no JSON.
      if (escape.length <= string.room) this.#let(string, Uint8Array.from(escape))
      else this.#let(string, new Uint8Array(string.room + 1))
      return
    }
    this.#let(string, this.#decode(escape))
  }

  #decode(escape: number[]): Uint8Array {
    const letter = escape[1] ?? 0
    if (letter !== U) return Uint8Array.of(SHORT.get(letter) ?? letter)
    const code = Number.parseInt(String.fromCharCode(...escape.slice(2)), 16)
    if (code >= 0xd800 && code < 0xdc00) {
      this.#high_surrogate = code
      return new Uint8Array()
    }
    const high = this.#high_surrogate
    this.#high_surrogate = 0
    return new TextEncoder().encode(String.fromCharCode(...(high === 0 ? [code] : [high, code])))
  }

  #let(string: OpenString, bytes: Uint8Array): void {
    if (string.rule.longer === 'aside') {
      this.#aside.append(bytes.subarray(0, MAX_ASIDE - this.#aside.length))
      return
    }
    if (string.room < 0) return
    if (bytes.length <= string.room) {
      this.#kept.append(bytes)
      string.room -= bytes.length
      return
    }
    if (string.rule.longer === 'drop') this.#kept.shrink(string.start)
    // Zeros stand for an escape that did not fit.
    else if (bytes[0] !== 0) this.#kept.append(bytes.subarray(0, string.room))
    string.room = -1
  }

  #finish(string: OpenString): void {
    const level = this.#levels.at(-1)
    if (string.is_key && level) level.key = this.#kept.text(string.start)
    this.#kept.push(QUOTE)
    this.#high_surrogate = 0
    this.#string = null
  }
}

const SHORT: ReadonlyMap<number, number> = new Map([
  [98, 8],
  [102, 12],
  [110, 10],
  [114, 13],
  [116, 9],
])

/** Negative where there are no four digits. */
function hexAt(chunk: Uint8Array, at: number): number {
  let code = 0
  for (let i = at; i < at + 4; i++) {
    const byte = chunk[i] ?? 0
    const letter = (byte | 32) - 87
    const digit = byte >= 48 && byte <= 57 ? byte - 48 : letter >= 10 && letter <= 15 ? letter : -1
    if (digit < 0) return -1
    code = code * 16 + digit
  }
  return code
}

/** Where a string goes on no further: each mark is searched for once. */
class Marks {
  readonly #chunk: Uint8Array
  #quote = -1
  #backslash = -1

  constructor(chunk: Uint8Array) {
    this.#chunk = chunk
  }

  next(at: number): number {
    if (this.#quote < at) this.#quote = this.#find(QUOTE, at)
    if (this.#backslash < at) this.#backslash = this.#find(BACKSLASH, at)
    return Math.min(this.#quote, this.#backslash)
  }

  #find(byte: number, at: number): number {
    const found = this.#chunk.indexOf(byte, at)
    return found < 0 ? this.#chunk.length : found
  }
}

function broken(): AppError {
  return new AppError('invalid', 'The body cannot be read as JSON.', {
    errors: [{ path: 'body', message: 'is not valid JSON, or nested too deeply' }],
  })
}

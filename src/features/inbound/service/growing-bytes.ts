import { AppError } from '#kernel/errors'

/** Bytes that grow up to a size; beyond it they are too many. */
export class GrowingBytes {
  #bytes: Uint8Array
  readonly #max: number
  length = 0

  constructor(size: number, max: number) {
    this.#bytes = new Uint8Array(size)
    this.#max = max
  }

  push(byte: number): void {
    this.#reserve(1)
    this.#bytes[this.length++] = byte
  }

  /** Any code but half a surrogate pair. */
  pushUtf8(code: number): void {
    if (code < 0x80) return this.push(code)
    if (code >= 0x800) {
      this.push(0xe0 | (code >> 12))
      this.push(0x80 | ((code >> 6) & 63))
    } else this.push(0xc0 | (code >> 6))
    this.push(0x80 | (code & 63))
  }

  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.length)
    this.length += bytes.length
  }

  last(): number | undefined {
    return this.#bytes[this.length - 1]
  }

  shrink(length: number): void {
    this.length = length
  }

  text(from: number): string {
    return new TextDecoder().decode(this.#bytes.subarray(from, this.length))
  }

  take(): Uint8Array {
    return this.#bytes.subarray(0, this.length)
  }

  #reserve(more: number): void {
    const wanted = this.length + more
    if (wanted > this.#max) throw new AppError('too_large', 'The body says more than is taken in.')
    if (wanted <= this.#bytes.length) return
    const grown = new Uint8Array(
      Math.min(this.#max, Math.max(wanted, 65_536, Math.ceil(this.#bytes.length * 1.5))),
    )
    grown.set(this.#bytes.subarray(0, this.length))
    this.#bytes = grown
  }
}

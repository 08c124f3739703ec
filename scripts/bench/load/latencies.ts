import type { LoadResult } from './job.ts'

/** Collects what a window measured, in milliseconds. */
export class Latencies {
  #values = new Float64Array(65_536)
  #count = 0
  #errors = 0
  #firstError: string | null = null
  readonly #begun = performance.now()

  add(milliseconds: number): void {
    if (this.#count === this.#values.length) {
      const larger = new Float64Array(this.#values.length * 2)
      larger.set(this.#values)
      this.#values = larger
    }
    this.#values[this.#count++] = milliseconds
  }

  fail(reason: string): void {
    this.#errors++
    this.#firstError ??= reason.slice(0, 500)
  }

  result(): LoadResult {
    const seconds = (performance.now() - this.#begun) / 1000
    const sorted = this.#values.subarray(0, this.#count).toSorted()
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
    return {
      requests: this.#count,
      seconds,
      p50: at(0.5),
      p99: at(0.99),
      max: at(1),
      errors: this.#errors,
      first_error: this.#firstError,
    }
  }
}

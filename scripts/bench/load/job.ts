// What the load generator is asked to do and what it answers, across the process boundary.
import type { Template } from './template.ts'

export interface HttpJob {
  kind: 'http'
  port: number
  connections: number
  seconds: number
  request: Template
  status: number
}

/** One transaction over and over: prepared statements, all of it in one write and one answer. */
export interface PostgresJob {
  kind: 'postgres'
  url: string
  connections: number
  seconds: number
  statements: { text: string; params: (Template | null)[] }[]
}

export type LoadJob = HttpJob | PostgresJob

export interface LoadResult {
  requests: number
  seconds: number
  p50: number
  p99: number
  max: number
  errors: number
  first_error: string | null
}

import { expect, it } from 'vitest'
import { ratioOf, type Window } from './rounds.ts'

const window = (variant: string, round: number, rate: number): Window => ({
  variant,
  round,
  rate,
  cpu: null,
  foreign: null,
  requests: 0,
  seconds: 1,
  p50: 0,
  p99: 0,
  max: 0,
  errors: 0,
  first_error: null,
})

it('compares within each round, so that a slow machine changes nothing', () => {
  const windows = [
    window('a', 1, 100),
    window('b', 1, 200),
    window('b', 2, 20),
    window('a', 2, 12),
    window('a', 3, 400),
    window('b', 3, 1000),
    window('a', 4, 1),
  ]
  expect(ratioOf(windows, 'a', 'b', ({ rate }) => rate)).toEqual({ median: 0.5, min: 0.4, max: 0.6 })
})

it('says nothing where nothing was measured', () => {
  const windows = [window('a', 1, 100), window('b', 1, 200)]
  expect(ratioOf(windows, 'a', 'b', ({ cpu }) => cpu?.server ?? null)).toBeNull()
  expect(ratioOf(windows, 'a', 'c', ({ rate }) => rate)).toBeNull()
})

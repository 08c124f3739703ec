import { expect, it } from 'vitest'
import { isHost, isTimezone, refuseWindows } from './policy'

it.each([
  ['Europe/Berlin', true],
  ['UTC', true],
  ['America/Argentina/Buenos_Aires', true],
  ['+02:00', false],
  ['Mars/Olympus', false],
  ['', false],
])('takes the time zone %j: %s', (name, expected) => {
  expect(isTimezone(name)).toBe(expected)
})

it.each<[[string, string][], boolean]>([
  [[['09:00', '17:00']], true],
  [
    [
      ['09:00', '12:00'],
      ['13:00', '24:00'],
    ],
    true,
  ],
  [[['21:00', '02:00']], true],
  [[], true],
  [
    [
      ['09:00', '12:00'],
      ['11:00', '13:00'],
    ],
    false,
  ],
  [
    [
      ['21:00', '02:00'],
      ['22:00', '23:00'],
    ],
    false,
  ],
  [[['09:00', '09:00']], false],
  [[['9:00', '17:00']], false],
  [[['09:00', '24:30']], false],
  [[['24:00', '02:00']], false],
])('takes the windows %j: %s', (windows, expected) => {
  expect(refuseWindows(windows) === null).toBe(expected)
})

it.each([
  ['example.com', true],
  ['shop.example.co.uk', true],
  ['example', false],
  ['https://example.com', false],
  ['example.com/path', false],
  ['Example.com', false],
  ['-a.com', false],
])('takes the host %j: %s', (host, expected) => {
  expect(isHost(host)).toBe(expected)
})

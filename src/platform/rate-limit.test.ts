import { expect, it } from 'vitest'
import { ipSubject } from './rate-limit'

it.each([
  ['203.0.113.9', '203.0.113.9'],
  ['::ffff:203.0.113.9', '203.0.113.9'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
  ['2001:db8:1:3::9', '2001:db8:1:3::/64'],
  ['not an address', 'unknown'],
  [null, 'unknown'],
])('counts the caller %j as %j', (ip, subject) => {
  expect(ipSubject(ip)).toBe(subject)
})

import { expect, it } from 'vitest'
import { isConfined, judgeLatency, reportFeatures, worst } from './policy'

it('calls a slow database waking, not failing', () => {
  expect([judgeLatency(3), judgeLatency(1000), judgeLatency(4200)]).toEqual(['ok', 'ok', 'waking'])
})

it('is as well as its worst check', () => {
  expect(worst(['ok', 'waking', 'ok'])).toBe('waking')
  expect(worst(['failing', 'waking'])).toBe('failing')
  expect(worst([])).toBe('ok')
})

const role = { role: 'inlet_login', superuser: false, bypass_rls: false, inherits: false }

it.each([
  [role, true],
  [{ ...role, superuser: true }, false],
  [{ ...role, bypass_rls: true }, false],
  [{ ...role, inherits: true }, false],
])('takes the login %j for confined: %s', (login, expected) => {
  expect(isConfined(login)).toBe(expected)
})

it('names the settings that a feature lacks, and no value', () => {
  const report = reportFeatures({
    GOOGLE_CLIENT_ID: 'secret-value',
    GOOGLE_CLIENT_SECRET: '',
    OPENAI_API_KEY: 'sk-x',
  })
  expect(report.find(({ name }) => name === 'google')).toEqual({
    name: 'google',
    configured: false,
    missing: ['GOOGLE_CLIENT_SECRET', 'GOOGLE_OAUTH_REDIRECT_URI'],
  })
  expect(report.find(({ name }) => name === 'openai')).toEqual({
    name: 'openai',
    configured: true,
    missing: [],
  })
  expect(JSON.stringify(report)).not.toContain('secret-value')
})

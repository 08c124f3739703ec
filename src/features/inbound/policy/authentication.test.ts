import { describe, expect, it } from 'vitest'
import { readDmarc } from './authentication'

const GOOGLE =
  'mx.google.com; dkim=pass header.i=@buyer.test header.s=s1 header.b=AbC; spf=pass (google.com: domain of ada@buyer.test designates 192.0.2.1 as permitted sender) smtp.mailfrom=ada@buyer.test; dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=buyer.test'
const MICROSOFT =
  'spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=buyer.test; outlook.com; dkim=pass (signature was verified) header.d=buyer.test;dmarc=pass action=none header.from=buyer.test;compauth=pass reason=100'

describe('the verdict of the receiving provider', () => {
  it('passes as Google writes it', () => {
    expect(readDmarc([GOOGLE], 'google', 'buyer.test').verdict).toBe('pass')
  })
  it('passes as Microsoft writes it, without a name of its own', () => {
    expect(readDmarc([MICROSOFT], 'microsoft', 'buyer.test').verdict).toBe('pass')
  })
  it('passes with the name of a Microsoft server', () => {
    const value = 'DB5EUR01FT032.mail.protection.outlook.com 1; dmarc=pass header.from=buyer.test'
    expect(readDmarc([value], 'microsoft', 'Buyer.Test').verdict).toBe('pass')
  })
  it('fails as Google writes it', () => {
    expect(readDmarc([GOOGLE.replace('dmarc=pass', 'dmarc=fail')], 'google', 'buyer.test').verdict).toBe(
      'fail',
    )
  })
  it.each(['none', 'bestguesspass'])('is no verdict: dmarc=%s', (result) => {
    expect(readDmarc([GOOGLE.replace('dmarc=pass', `dmarc=${result}`)], 'google', 'buyer.test').verdict).toBe(
      'none',
    )
  })
  it.each(['temperror', 'permerror'])('is no pass: dmarc=%s', (result) => {
    expect(readDmarc([GOOGLE.replace('dmarc=pass', `dmarc=${result}`)], 'google', 'buyer.test').verdict).toBe(
      'fail',
    )
  })
  it('is none without a header', () => {
    expect(readDmarc([], 'google', 'buyer.test').verdict).toBe('none')
  })
})

describe('a forged verdict', () => {
  it.each<[string, string[], 'google' | 'microsoft']>([
    ['below the true one', ['mx.google.com; dmarc=fail header.from=buyer.test', GOOGLE], 'google'],
    [
      'below one of another server',
      ['mx.attacker.test; dmarc=pass header.from=buyer.test', GOOGLE],
      'google',
    ],
    ['of another server', ['mx.google.com.attacker.test; dmarc=pass header.from=buyer.test'], 'google'],
    [
      'of another server at Microsoft',
      ['protection.outlook.com.attacker.test; dmarc=pass header.from=buyer.test'],
      'microsoft',
    ],
    [
      'of a look-alike at Microsoft',
      ['evilprotection.outlook.com; dmarc=pass header.from=buyer.test'],
      'microsoft',
    ],
    ['without a name at Google', [MICROSOFT], 'google'],
    ['without a name and without what Microsoft adds', ['dmarc=pass header.from=buyer.test'], 'microsoft'],
    [
      'in a comment',
      [
        'mx.google.com; spf=fail (dmarc=pass header.from=buyer.test; dmarc=pass header.from=buyer.test) smtp.mailfrom=x@y.test',
      ],
      'google',
    ],
    [
      'in a comment inside a comment',
      ['mx.google.com; spf=fail (a (b) ; dmarc=pass header.from=buyer.test) x=y'],
      'google',
    ],
    [
      'behind an escaped parenthesis',
      ['mx.google.com; spf=fail (a \\) ; dmarc=pass header.from=buyer.test) x=y'],
      'google',
    ],
    [
      'behind a parenthesis left open',
      ['mx.google.com; spf=fail (; dmarc=pass header.from=buyer.test'],
      'google',
    ],
    [
      'in a quoted string',
      ['mx.google.com; spf=fail reason="; dmarc=pass header.from=buyer.test"'],
      'google',
    ],
    [
      'in a quoted address',
      ['mx.google.com; spf=fail smtp.mailfrom="x; dmarc=pass header.from=buyer.test "@y.test'],
      'google',
    ],
    [
      'in another property',
      ['mx.google.com; spf=fail smtp.mailfrom=dmarc=pass header.from=buyer.test'],
      'google',
    ],
    [
      'as a property of another method',
      ['mx.google.com; spf=fail dmarc=pass header.from=buyer.test'],
      'google',
    ],
    ['for another domain', ['mx.google.com; dmarc=pass header.from=attacker.test'], 'google'],
    ['for a longer domain', ['mx.google.com; dmarc=pass header.from=buyer.test.attacker.test'], 'google'],
    ['for no domain', ['mx.google.com; dmarc=pass'], 'google'],
    [
      'beside another one',
      ['mx.google.com; dmarc=fail header.from=buyer.test; dmarc=pass header.from=buyer.test'],
      'google',
    ],
    [
      'with a second domain',
      ['mx.google.com; dmarc=pass header.from=attacker.test header.from=buyer.test'],
      'google',
    ],
    ['as part of a word', ['mx.google.com; x-dmarc=pass header.from=buyer.test'], 'google'],
    ['in a header that is too long', [`${'('.repeat(20_000)}${GOOGLE}`], 'google'],
  ])('does not pass: %s', (_, headers, provider) => {
    expect(readDmarc(headers, provider, 'buyer.test').verdict).not.toBe('pass')
  })
  it('does not pass for an empty domain', () => {
    expect(readDmarc(['mx.google.com; dmarc=pass header.from='], 'google', '').verdict).toBe('fail')
  })
})

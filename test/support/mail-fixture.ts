// Raw mail for tests: a plain inquiry to sales@inlet.test, with what a test changes.

import type { MailContext } from '../../src/features/inbound/policy/automated-mail'

const PLAIN: Readonly<Record<string, string>> = {
  'Return-Path': '<ada@buyer.test>',
  From: 'Ada Byron <ada@buyer.test>',
  To: 'sales@inlet.test',
  Subject: 'Ten seats',
  Date: 'Tue, 4 Mar 2025 09:12:00 +0100',
  'Message-ID': '<m1@buyer.test>',
}

export const CONTEXT: MailContext = {
  own_addresses: ['sales@inlet.test', 'bob@inlet.test'],
  mailbox_email: 'sales@inlet.test',
  earlier_inbound_bodies: [],
}

/** Headers replace those of the plain inquiry; an empty value removes one. */
export function writeMail(
  headers: Readonly<Record<string, string>> = {},
  body = 'How much are ten seats?',
): Uint8Array {
  const lines = Object.entries({ ...PLAIN, ...headers })
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name}: ${value}`)
  return new TextEncoder().encode(`${lines.join('\r\n')}\r\n\r\n${body.replace(/\r?\n/g, '\r\n')}`)
}

/** A multipart body: each part is its headers, an empty line, its content. */
export function writeParts(
  type: string,
  parts: readonly string[],
  headers: Readonly<Record<string, string>> = {},
): Uint8Array {
  const body = parts.map((part) => `--b1\n${part}\n`).join('')
  return writeMail(
    { 'MIME-Version': '1.0', 'Content-Type': `multipart/${type}; boundary=b1`, ...headers },
    `${body}--b1--\n`,
  )
}

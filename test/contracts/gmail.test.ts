// What Gmail may answer and the emulator never does.
import { describe, expect, it } from 'vitest'
import { findProvider, type MailApi, type MailProvider } from '#features/mailboxes'
import type { Result } from '#kernel/failure'
import { createWorld } from '#test/world'

const gmail = findProvider('google') as MailProvider

/** Answers by path and query; the first that matches. */
function answering(...answers: [pattern: RegExp, body: unknown, status?: number][]) {
  const world = createWorld()
  const asked: string[] = []
  world.fetch = async (input, init) => {
    const { pathname, search } = new URL(input instanceof Request ? input.url : input)
    asked.push(`${init?.method ?? 'GET'} ${pathname.replace('/gmail/v1/users/me', '')}${search}`)
    const found = answers.find(([pattern]) => pattern.test(asked.at(-1) ?? ''))
    return found ? Response.json(found[1], { status: found[2] ?? 200 }) : new Response('', { status: 404 })
  }
  return { asked, api: { ctx: world.ctx(), access_token: 'token' } satisfies MailApi }
}

function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.failure.kind} ${result.failure.code}`)
  return result.value
}

const added = (id: string) => ({
  messagesAdded: [{ message: { id, threadId: `t${id}`, labelIds: ['INBOX'] } }],
})

describe('a page of the history that holds nothing of what was asked for', () => {
  it('is no reason to skip the pages after it', async () => {
    const { api, asked } = answering(
      [/pageToken=p2/, { historyId: '900', nextPageToken: 'p3', history: [{ id: '500', ...added('m1') }] }],
      [/\/history/, { historyId: '900', nextPageToken: 'p2' }],
    )
    const page = value(await gmail.changesSince(api, '100'))
    expect(page).toEqual({ messages: [{ id: 'm1', thread_id: 'tm1' }], cursor: '500', more: true })
    expect(asked).toHaveLength(2)
  })
})

describe('a mail that is too large for the memory of an object', () => {
  const header = (name: string, value: string) => ({ name, value })
  const data = (text: string) => ({ data: btoa(text).replaceAll('+', '-').replaceAll('/', '_') })
  const payload = {
    mimeType: 'multipart/mixed',
    headers: [
      header('Authentication-Results', 'mx.google.com; dmarc=pass header.from=buyer.test'),
      header('From', 'Ada <ada@buyer.test>'),
      header('Subject', 'Plans\r\nBcc: eve@evil.test'),
      header('Content-Type', 'multipart/mixed; boundary="outer;1"'),
    ],
    parts: [
      {
        mimeType: 'multipart/alternative',
        headers: [header('Content-Type', 'multipart/alternative; boundary=inner')],
        parts: [
          {
            mimeType: 'text/plain',
            headers: [
              header('Content-Type', 'text/plain; charset=utf-8'),
              header('Content-Transfer-Encoding', 'quoted-printable'),
            ],
            body: data('See the =3D plans.'),
          },
        ],
      },
      {
        mimeType: 'application/pdf',
        filename: 'plans.pdf',
        headers: [
          header('Content-Type', 'application/pdf; name="plans.pdf"'),
          header('Content-Transfer-Encoding', 'base64'),
        ],
        body: { attachmentId: 'a1', size: 30_000_000 },
      },
    ],
  }

  it('is read with all its headers and text, without the data of its files', async () => {
    const { api } = answering(
      [/format=raw/, { id: 'm1', threadId: 't1', internalDate: '1', raw: 'x'.repeat(17 * 1024 * 1024) }],
      [
        /format=full/,
        { id: 'm1', threadId: 't1', labelIds: ['INBOX'], internalDate: '1763629200000', payload },
      ],
    )
    const mail = value(await gmail.fetchRaw(api, 'm1'))
    expect({ ...mail, raw: new TextDecoder().decode(mail?.raw).split('\r\n') }).toEqual({
      thread_id: 't1',
      received_at: new Date(1_763_629_200_000),
      relevant: true,
      sent: false,
      raw: [
        'Authentication-Results: mx.google.com; dmarc=pass header.from=buyer.test',
        'From: Ada <ada@buyer.test>',
        'Subject: Plans Bcc: eve@evil.test',
        'Content-Type: multipart/mixed; boundary="outer;1"',
        '',
        '--outer;1',
        'Content-Type: multipart/alternative; boundary=inner',
        '',
        '--inner',
        'Content-Type: text/plain; charset=utf-8',
        'Content-Transfer-Encoding: binary',
        '',
        'See the =3D plans.',
        '--inner--',
        '--outer;1',
        'Content-Type: application/pdf; name="plans.pdf"',
        'Content-Transfer-Encoding: binary',
        '',
        '',
        '--outer;1--',
        '',
      ],
    })
  })

  it('is given up when even its text is too large', async () => {
    const { api } = answering([/format=/, { raw: 'x'.repeat(17 * 1024 * 1024) }])
    expect(await gmail.fetchRaw(api, 'm1')).toMatchObject({
      ok: false,
      failure: { kind: 'permanent', code: 'unfetchable' },
    })
  })
})

describe('a thread that was deleted by hand', () => {
  it('is begun anew by the next draft', async () => {
    const { api, asked } = answering()
    await gmail.createDraft(api, { raw: 'cmF3', thread_id: 't1' })
    expect(asked).toEqual(['POST /drafts', 'POST /drafts'])
  })
})

describe('a wait that is longer than any quota', () => {
  it.each(['99999999999999999999', 'Fri, 31 Dec 9999 23:59:59 GMT'])('%s is a day', async (wait) => {
    const world = createWorld()
    world.fetch = async () => new Response('', { status: 429, headers: { 'Retry-After': wait } })
    const refused = await gmail.currentCursor({ ctx: world.ctx(), access_token: 'token' })
    expect(refused).toMatchObject({
      ok: false,
      failure: { kind: 'rate_limited', retry_after_seconds: 86_400 },
    })
  })
})

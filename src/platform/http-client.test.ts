import { describe, expect, it } from 'vitest'
import { createHttpClient, refuseTarget } from './http-client'

describe('a URL that a tenant gave', () => {
  it.each([
    'http://127.0.0.1/',
    'http://2130706433/',
    'http://0x7f.1/',
    'http://0177.0.0.1/',
    'http://①②⑦.⓪.⓪.①/',
    'http://0.0.0.0/',
    'http://10.1.2.3/',
    'http://172.16.0.1/',
    'http://192.168.1.1/',
    'http://169.254.169.254/latest/meta-data/',
    'http://100.64.0.1/',
    'http://198.18.0.1/',
    'http://192.0.0.1/',
    'http://192.0.2.1/',
    'http://224.0.0.1/',
    'http://255.255.255.255/',
    'http://[::1]/',
    'http://[::]/',
    'http://[::127.0.0.1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::ffff:7f00:1]/',
    'http://[64:ff9b::7f00:1]/',
    'http://[2002:7f00:1::]/',
    'http://[fe80::1]/',
    'http://[fc00::1]/',
    'http://[2001:db8::1]/',
    'http://localhost/',
    'http://localhost./',
    'http://foo.localhost/',
    'http://metadata.google.internal/',
    'http://printer.local/',
    'http://intranet/',
    'http://127.0.0.1.nip.io/',
    'http://user:pass@example.com/',
    'ftp://example.com/',
    'file:///etc/passwd',
    'gopher://example.com/',
    'javascript:alert(1)',
    'http://example.com:22/',
    'not a url',
    '',
  ])('%s is not called', (url) => {
    expect(refuseTarget(url, [])).toMatchObject({ kind: 'permanent', code: 'url_refused' })
  })

  it.each([
    'https://hooks.slack.com/services/T/B/X',
    'http://93.184.216.34/',
    'https://[2606:2800:220:1:248:1893:25c8:1946]/',
    'https://api.company.co:8443/hook',
  ])('%s is called', (url) => {
    expect(refuseTarget(url, [])).toBeNull()
  })

  it('may be private when its exact origin is allowed, and only then', () => {
    const allowed = ['http://127.0.0.1:8789']
    expect(refuseTarget('http://127.0.0.1:8789/services/x', allowed)).toBeNull()
    expect(refuseTarget('http://127.0.0.1:8790/', allowed)).not.toBeNull()
    expect(refuseTarget('http://127.0.0.1:8789@evil.example/', allowed)).not.toBeNull()
  })

  it('is refused before anything is connected', async () => {
    const calls: string[] = []
    const client = createHttpClient({
      fetch: async (input) => {
        calls.push(new Request(input).url)
        return new Response('')
      },
      allowed_origins: [],
    })
    expect(await client.requestPublic('http://169.254.169.254/')).toMatchObject({
      ok: false,
      failure: { code: 'url_refused' },
    })
    expect(calls).toEqual([])
  })
})

describe('an answer', () => {
  const clientOf = (respond: typeof fetch) => createHttpClient({ fetch: respond, allowed_origins: [] })

  it('is read up to its cap', async () => {
    const endless = clientOf(
      async () =>
        new Response(
          new ReadableStream({
            pull: (controller) => controller.enqueue(new Uint8Array(10_000)),
          }),
        ),
    )
    expect(await endless.request('https://example.com/', { max_bytes: 50_000 })).toMatchObject({
      ok: false,
      failure: { kind: 'permanent', code: 'answer_too_large' },
    })
  })

  it('that redirects is not followed', async () => {
    let seen: RequestInit | undefined
    const client = clientOf(async (_, init) => {
      seen = init
      return new Response('', { status: 302, headers: { Location: 'http://127.0.0.1/' } })
    })
    expect(await client.requestPublic('https://example.com/')).toMatchObject({
      ok: true,
      value: { status: 302 },
    })
    expect(seen?.redirect).toBe('manual')
  })

  it('that does not come is transient', async () => {
    const failing = clientOf(async () => {
      throw new TypeError('fetch failed')
    })
    expect(await failing.request('https://example.com/')).toMatchObject({
      ok: false,
      failure: { kind: 'transient', code: 'no_answer' },
    })
    const hanging = clientOf(
      (_, init) =>
        new Promise((_resolve, reject) => {
          init?.signal?.addEventListener('abort', () => reject(new DOMException('late', 'TimeoutError')))
        }),
    )
    expect(await hanging.request('https://example.com/', { timeout_ms: 5 })).toMatchObject({
      ok: false,
      failure: { kind: 'transient', code: 'timeout' },
    })
  })
})

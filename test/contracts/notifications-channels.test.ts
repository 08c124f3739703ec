import { beforeEach, describe, expect, it } from 'vitest'
import { noticeChannels } from '../../src/features/notifications/channels'
import type { NoticeChannel } from '../../src/features/notifications/channels/contract'
import { createFakeSlack, type FakeSlack, RETRY_AFTER_SECONDS } from '#test/fake-slack'
import { createWorld } from '#test/world'

const OWN_WEBHOOK = 'https://hooks.slack.com/services/T1/B1/own'
const OPERATORS_WEBHOOK = 'http://slack.test/services/T0/B0/operators'
const org_id = '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11'
const notice = {
  title: 'New lead for Demo: Ada',
  lines: ['Ten seats?', 'Answered.'],
  link: { label: 'Open the lead', url: 'https://inlet.test/leads/1?a=1&b=2' },
}

let slack: FakeSlack
let world: ReturnType<typeof createWorld>
const fresh = (settings: Record<string, string> = {}) => {
  slack = createFakeSlack()
  world = createWorld({ SLACK_WEBHOOK_URL: OPERATORS_WEBHOOK, ...settings })
  world.fetch = slack.fetch
}
beforeEach(() => fresh())

const seal = (url: string, organization = org_id) =>
  world.ctx().seal(url, `organization:${organization}:slack`)

describe.each(noticeChannels)('the channel $name', (channel: NoticeChannel) => {
  const post = async (slack_webhook_sealed: string | null, words = notice) =>
    channel.post(world.ctx(), { org_id, slack_webhook_sealed }, words)

  it('posts to the organization’s own webhook, else to the operator’s', async () => {
    expect(await post(await seal(OWN_WEBHOOK))).toEqual({ ok: true, value: null })
    expect(await post(null)).toEqual({ ok: true, value: null })
    expect(slack.posted.map((message) => message.url)).toEqual([OWN_WEBHOOK, OPERATORS_WEBHOOK])
  })

  it('carries every word of the notice', async () => {
    await post(null)
    expect(slack.posted[0]?.text).toBe(
      '*New lead for Demo: Ada*\nTen seats?\nAnswered.\n<https://inlet.test/leads/1?a=1&amp;b=2|Open the lead>',
    )
  })

  it('lets no text of a stranger call a channel, make a link or end one', async () => {
    await post(null, {
      ...notice,
      title: '<!channel> & <@U1>',
      lines: ['<https://evil.test|Your invoice>', '&lt;!here&gt;'],
    })
    expect(slack.posted[0]?.text.split('\n').slice(0, 3)).toEqual([
      '*&lt;!channel&gt; &amp; &lt;@U1&gt;*',
      '&lt;https://evil.test|Your invoice&gt;',
      '&amp;lt;!here&amp;gt;',
    ])
  })

  it('says what follows from each refusal', async () => {
    const failure = async (change: Partial<FakeSlack>) => {
      Object.assign(slack, { mood: 'well', gone: null, ...change })
      const result = await post(null)
      return result.ok ? null : [result.failure.kind, result.failure.code, result.failure.retry_after_seconds]
    }
    expect(await failure({ mood: 'throttled' })).toEqual([
      'rate_limited',
      'slack_rate_limited',
      RETRY_AFTER_SECONDS,
    ])
    expect(await failure({ mood: 'down' })).toEqual(['transient', 'slack_unavailable', undefined])
    expect(await failure({ mood: 'silent' })).toEqual(['transient', 'timeout', undefined])
    expect(await failure({ mood: 'drops' })).toEqual(['transient', 'no_answer', undefined])
    for (const gone of ['no_service', 'channel_not_found', 'channel_is_archived'] as const)
      expect(await failure({ gone })).toEqual(['permanent', gone, undefined])
  })

  it('believes only `ok`: a page, a redirect or another text is a refusal', async () => {
    const answers = [
      new Response('<html>Sign in</html>', { status: 200 }),
      new Response('', { status: 302, headers: { Location: 'https://elsewhere.test/' } }),
      new Response('{"ok":true}', { status: 200 }),
      new Response('invalid_payload', { status: 400 }),
    ]
    const codes: (string | null)[] = []
    for (const answer of answers) {
      world.fetch = async () => answer
      const result = await post(null)
      codes.push(result.ok ? null : `${result.failure.kind} ${result.failure.code}`)
    }
    expect(codes).toEqual([
      'permanent unexpected_answer',
      'permanent unexpected_answer',
      'permanent unexpected_answer',
      'permanent invalid_payload',
    ])
  })

  it('waits a while when a throttled answer does not say how long', async () => {
    world.fetch = async () =>
      new Response('rate_limited', { status: 429, headers: { 'Retry-After': 'soon' } })
    expect(await post(null)).toEqual({
      ok: false,
      failure: expect.objectContaining({ kind: 'rate_limited', retry_after_seconds: 30 }),
    })
  })

  it('calls no private address for an organization, but the operator’s own wherever it is', async () => {
    for (const url of ['http://127.0.0.1:9000/services/T0/B0/X', 'http://slack.internal/services/T0/B0/X'])
      expect(await post(await seal(url))).toEqual({
        ok: false,
        failure: expect.objectContaining({ kind: 'permanent', code: 'url_refused' }),
      })
    fresh({ SLACK_WEBHOOK_URL: 'http://127.0.0.1:9000/services/T0/B0/X' })
    expect(await post(null)).toEqual({ ok: true, value: null })
  })

  it('keeps a webhook that no key of ours opens for later, also one sealed for another organization', async () => {
    for (const sealed of ['v1.deadbeef.AAAA.AAAA', await seal(OWN_WEBHOOK, crypto.randomUUID())])
      expect(await post(sealed)).toEqual({
        ok: false,
        failure: expect.objectContaining({ kind: 'transient', code: 'webhook_unreadable' }),
      })
    expect(slack.posted).toEqual([])
  })

  it('says that nothing is set where there is no webhook at all', async () => {
    fresh({ SLACK_WEBHOOK_URL: '' })
    expect(await post(null)).toEqual({
      ok: false,
      failure: expect.objectContaining({ kind: 'permanent', code: 'not_configured' }),
    })
  })

  it('names no webhook in any failure', async () => {
    slack.gone = 'no_service'
    expect(JSON.stringify(await post(await seal(OWN_WEBHOOK)))).not.toContain('/services/')
    expect(JSON.stringify(await post(await seal('http://127.0.0.1/services/T0/B0/X')))).not.toContain(
      '/services/',
    )
  })
})

it('has every channel registered once', () => {
  expect(noticeChannels.map((channel) => channel.name)).toEqual(['slack'])
})

// The main job on the stack as a person starts it: a mail arrives, the answer leaves, Slack hears of it; pushes are lost and doubled.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, expect, it } from 'vitest'
import { loadSigningKey } from '../../scripts/stack/emulators/google/keys.ts'
import { answers, inquiry, Product } from './product.ts'
import { ROOT, type Stack, startStack, until } from './stack.ts'

let stack: Stack
let product: Product

beforeAll(async () => {
  stack = await startStack()
  product = new Product(stack)
})

async function leadsOf(email: string): Promise<number> {
  return (await product.leads()).filter(({ contact }) => contact.email === email).length
}

it('answers a mail within five seconds, in its thread, and tells Slack once', async () => {
  const mail = inquiry('five-seconds')
  const begun = Date.now()
  const { threadId } = await product.deliver(mail)
  await until(
    'the reply and its notice',
    async () => answers(await product.sent()).has(mail.message_id) && (await product.slack()).length === 1,
    { withinMs: 5000 },
  )
  expect(Date.now() - begun).toBeLessThan(5000)
  const [reply, ...more] = await product.sent()
  expect(more).toEqual([])
  expect(reply).toMatchObject({
    thread_id: threadId,
    in_reply_to: mail.message_id,
    references: mail.message_id,
    subject: `Re: ${mail.subject}`,
    to: expect.stringContaining('ada@five-seconds.test'),
  })
  const [notice] = await product.slack()
  expect(notice).toContain('New lead for Demo: Buyer five-seconds (ada@five-seconds.test)')
  expect(notice).toContain('Answered automatically.')
  expect(notice).toMatch(new RegExp(`<${stack.api}/leads/[0-9a-f-]{36}\\|Open the lead>`))
})

it('tells by demo:mail, step by step, what became of a mail', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      join(ROOT, 'scripts', 'demo-mail.ts'),
      ...'--from ada@buyer.test --subject Pricing? --body'.split(' '),
      '10 seats?',
    ],
    { cwd: ROOT, env: { PATH: process.env['PATH'], DATA_DIR: stack.dataDir } },
  )
  const told = [
    'arrived',
    'read',
    'lead',
    'draft',
    'in Sent',
    'the same thread',
    'Slack',
    'Answered automatically.',
  ]
  for (const step of [...told, 'Done: the reply is out.']) expect(stdout).toContain(step)
})

it('finds by polling what push has lost', async () => {
  await product.google('push', { on: false })
  try {
    const mail = inquiry('lost-push')
    await product.deliver(mail)
    await product.poll()
    await until('the reply', async () => answers(await product.sent()).get(mail.message_id) === 1)
    expect(await leadsOf('ada@lost-push.test')).toBe(1)
  } finally {
    await product.google('push', { on: true })
  }
})

it('makes one lead and one reply of the same push fifty times at once', async () => {
  await product.google('push', { on: false })
  try {
    const mail = inquiry('fifty-pushes')
    const { historyId } = await product.deliver(mail)
    const push = await signedPush(historyId)
    const answered = await Promise.all(Array.from({ length: 50 }, async () => await push()))
    expect(answered).toEqual(Array.from({ length: 50 }, () => 204))
    await until('the reply', async () => answers(await product.sent()).has(mail.message_id))
    // Late ones too.
    expect(await Promise.all([push(), push(), push()])).toEqual([204, 204, 204])
    await product.sync()
    expect(await leadsOf('ada@fifty-pushes.test')).toBe(1)
    const sends = (await product.sends()).filter(({ to }) => to === 'ada@fifty-pushes.test')
    expect(sends.map(({ state }) => state)).toEqual(['sent'])
    expect(answers(await product.sent()).get(mail.message_id)).toBe(1)
  } finally {
    await product.google('push', { on: true })
  }
})

/** One push as Google signs it, to be sent as often as one likes. */
async function signedPush(historyId: string): Promise<() => Promise<number>> {
  const { google, demo, data_dir } = stack.local
  if (!google) throw new Error('the stack runs without its emulators')
  const key = await loadSigningKey(join(data_dir, 'emulators', 'google-key.json'))
  const iat = Math.floor(Date.now() / 1000)
  const { issuer, audience, service_account } = google.pubsub
  const authorization = `Bearer ${await key.sign({
    iss: String(issuer),
    aud: String(audience),
    sub: String(service_account),
    email: service_account,
    email_verified: true,
    iat,
    exp: iat + 3600,
  })}`
  const data = Buffer.from(JSON.stringify({ emailAddress: demo.mailbox, historyId })).toString('base64url')
  const body = JSON.stringify({
    message: { data, messageId: '1' },
    subscription: 'projects/p/subscriptions/s',
  })
  return async () =>
    (
      await fetch(google.push_url, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body,
      })
    ).status
}

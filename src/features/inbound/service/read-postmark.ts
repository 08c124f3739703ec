// What Postmark posts of a mail that it has received (its inbound webhook), read as it streams in: of its files only names, types and
// sizes, and of small ones the content, because a bounce's report is one.
import { addressParser, type Address, type Attachment, type Email, type Header } from 'postal-mime'
import * as z from 'zod'
import { AppError } from '#kernel/errors'
import { sha256Hex } from '#platform/crypto'
import { JsonSieve, type SieveRules } from './json-sieve'
import { type ParsedMail, readParsed } from './parse-message'
import { type MailFacts, readRaw } from './routed-mail'

const RULES: SieveRules = {
  'Attachments.Content': { max: 32_768, longer: 'drop' },
  // So called in its test post.
  'Attachments.Data': { max: 32_768, longer: 'drop' },
  TextBody: { max: 1_000_000, longer: 'cut' },
  HtmlBody: { max: 2_000_000, longer: 'cut' },
  // The fields beside it say the same, taken apart.
  To: { max: 0, longer: 'drop' },
  Cc: { max: 0, longer: 'drop' },
  Bcc: { max: 0, longer: 'drop' },
  RawEmail: { max: 0, longer: 'aside' },
}

const MAX_LISTED = 500
const text = z.string().catch('')
const listOf = <S extends z.ZodType>(item: S) =>
  z
    .array(z.unknown())
    .catch([])
    .transform((all) =>
      all.slice(0, MAX_LISTED).flatMap((one) => {
        const parsed = item.safeParse(one)
        return parsed.success ? [parsed.data] : []
      }),
    )
const person = z.object({ Email: text, Name: text, MailboxHash: text })
const nobody = { Email: '', Name: '', MailboxHash: '' }

/** Nothing in it is asked for: a mail may lack anything, and whatever there is is better than none. */
const inboundPost = z.object({
  RecordType: z.string().optional(),
  MessageID: text,
  From: text,
  FromFull: person.catch(nobody),
  ToFull: listOf(person),
  CcFull: listOf(person),
  BccFull: listOf(person),
  OriginalRecipient: text,
  MailboxHash: text,
  ReplyTo: text,
  Subject: text,
  Date: text,
  TextBody: text,
  HtmlBody: text,
  Headers: listOf(z.object({ Name: text, Value: text })),
  Attachments: listOf(
    z.object({
      Name: text,
      ContentType: text,
      Content: text,
      Data: text,
      ContentLength: z.number().int().min(0).catch(0),
    }),
  ),
})
type InboundPost = z.infer<typeof inboundPost>

const TEST_ID = '00000000-0000-0000-0000-000000000000'

/** `null`: a test of the webhook, which is no mail. Throws `invalid` for what is no JSON, `unprocessable` for another report. */
export async function readPostmark(
  body: ReadableStream<Uint8Array> | null,
): Promise<{ parsed: ParsedMail; facts: MailFacts } | null> {
  const sieve = new JsonSieve(RULES)
  for await (const chunk of body ?? []) sieve.push(chunk)
  const { text: json, aside } = sieve.end()
  const post = readPost(json)
  if (post.MessageID === TEST_ID) return null
  const raw = aside === null ? 'empty' : await readRaw(aside)
  const parsed = typeof raw === 'string' ? takeApart(post) : raw
  const everybody = [...post.ToFull, ...post.CcFull, ...post.BccFull]
  const hash = [post, ...post.ToFull].find(({ MailboxHash }) => MailboxHash !== '')?.MailboxHash
  return {
    parsed,
    facts: {
      recipients: {
        envelope: post.OriginalRecipient === '' ? [] : [post.OriginalRecipient],
        headers: everybody.map(({ Email }) => Email),
        ...(hash === undefined ? {} : { hash }),
      },
      return_path: null,
      // A second try of Postmark carries the same id.
      fallback_id: `postmark:${post.MessageID === '' ? await sha256Hex(json) : post.MessageID.slice(0, 200)}`,
      ask_sender: true,
    },
  }
}

function readPost(json: string): InboundPost {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    throw broken()
  }
  const post = inboundPost.safeParse(value)
  if (!post.success) throw broken()
  const { RecordType, From, FromFull, Headers, TextBody, HtmlBody } = post.data
  const says =
    From !== '' || FromFull.Email !== '' || Headers.length > 0 || TextBody !== '' || HtmlBody !== ''
  if ((RecordType !== undefined && RecordType !== 'Inbound') || !says)
    throw new AppError('unprocessable', 'This is no inbound message. Check the URL of the webhook.')
  return post.data
}

function broken(): AppError {
  return new AppError('invalid', 'The body cannot be read as JSON.', {
    errors: [{ path: 'body', message: 'is not a JSON object' }],
  })
}

/** In the form of our parser, so that a mail is read by one code, whoever took it apart. */
function takeApart(post: InboundPost): ParsedMail {
  const { FromFull, ReplyTo, Attachments } = post
  const from =
    FromFull.Email === '' ? post.From : `"${FromFull.Name.replace(/["\\]/g, '')}" <${FromFull.Email}>`
  const headers: Header[] = [
    ...(from === '' ? [] : [toHeader({ Name: 'From', Value: from })]),
    ...post.Headers.filter(({ Name }) => !/^from$/i.test(Name)).map(toHeader),
  ]
  const mail: Email = {
    headers,
    headerLines: headers.map(({ key, value }) => ({ key, line: `${key}: ${value}` })),
    replyTo: addressParser(ReplyTo),
    to: post.ToFull.map(toAddress),
    cc: post.CcFull.map(toAddress),
    bcc: post.BccFull.map(toAddress),
    subject: post.Subject,
    date: post.Date === '' ? headers.find(({ key }) => key === 'date')?.value : post.Date,
    ...(post.TextBody === '' ? {} : { text: post.TextBody }),
    ...(post.HtmlBody === '' ? {} : { html: post.HtmlBody }),
    attachments: Attachments.map(toAttachment),
  }
  const parsed = readParsed(mail, [], false)
  return {
    ...parsed,
    attachments: parsed.attachments.map((file, i) => ({
      ...file,
      size: Attachments[i]?.ContentLength || file.size,
    })),
  }
}

function toHeader({ Name, Value }: { Name: string; Value: string }): Header {
  return { key: Name.trim().toLowerCase(), originalKey: Name, value: Value }
}

function toAddress({ Email: address, Name: name }: z.infer<typeof person>): Address {
  return { address, name }
}

function toAttachment({ Name, ContentType, Content, Data }: InboundPost['Attachments'][number]): Attachment {
  return {
    filename: Name,
    mimeType: ContentType.split(';')[0]?.trim().toLowerCase() ?? '',
    disposition: 'attachment',
    content: fromBase64(Content || Data),
  }
}

function fromBase64(encoded: string): Uint8Array {
  try {
    return Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0))
  } catch {
    return new Uint8Array()
  }
}

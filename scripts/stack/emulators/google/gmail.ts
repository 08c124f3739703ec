// The Gmail API where the emulator is softer than the real one: tokens and scopes, expired history, absent instead of
// empty lists, bad messages; and the push that follows a change.
import { googleError, notFound, unauthorized } from './errors.ts'
import type { Mailboxes, MessageResource } from './mailboxes.ts'
import type { Push } from './push.ts'
import type { Grant, TokenBook } from './tokens.ts'

interface GmailParts {
  tokens: TokenBook
  mailboxes: Mailboxes
  push: Push
}

interface Call {
  email: string
  method: string
  /** Behind `/users/{id}/`. */
  path: string
  url: URL
  json: Record<string, unknown> | undefined
  forward: () => Promise<Response>
}

const ROUTE = /^(\/upload)?\/gmail\/v1\/users\/([^/]+)\/(.+)$/
const LISTS = new Map([
  ['messages', 'messages'],
  ['threads', 'threads'],
  ['drafts', 'drafts'],
  ['history', 'history'],
])

/** Everything that needs an access token; undefined for what does not. */
export async function handleApi(
  request: Request,
  url: URL,
  parts: GmailParts,
): Promise<Response | undefined> {
  const isApi =
    /^\/(upload\/)?(gmail|calendar|drive)\//.test(url.pathname) || url.pathname === '/oauth2/v2/userinfo'
  if (!isApi) return undefined
  const token = /^Bearer\s+(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
  const grant = token === undefined ? undefined : parts.tokens.find(token)
  if (!grant) return unauthorized()
  const body = await request.arrayBuffer()
  const forward = async () =>
    await parts.mailboxes.as(grant.email, url, {
      method: request.method,
      headers: request.headers,
      ...(request.method === 'GET' || request.method === 'HEAD' ? {} : { body }),
    })
  const route = ROUTE.exec(url.pathname)
  if (!route) return await forward()
  const user = decodeURIComponent(route[2] ?? '').toLowerCase()
  if (user !== 'me' && user !== grant.email) {
    return googleError(403, `Delegation denied for ${grant.email}`, 'forbidden')
  }
  const path = route[3] ?? ''
  if (!mayCall(grant, request.method, path)) {
    return googleError(403, 'Request had insufficient authentication scopes.', 'insufficientPermissions')
  }
  const isUpload = route[1] !== undefined
  const json = isUpload ? undefined : parseJson(body)
  return await callGmail(
    { email: grant.email, method: request.method, path, url, json, forward },
    parts,
    isUpload,
  )
}

async function callGmail(call: Call, { mailboxes, push }: GmailParts, isUpload: boolean): Promise<Response> {
  const { email, method, path, url } = call
  if (method === 'GET' && path === 'profile') return profile(email, mailboxes)
  if (method === 'POST' && path === 'watch') return await watch(call, mailboxes, push)
  if (method === 'POST' && path === 'stop') {
    push.stop(email)
    return await call.forward()
  }
  if (
    method === 'GET' &&
    path === 'history' &&
    mailboxes.isExpired(email, url.searchParams.get('startHistoryId') ?? '')
  ) {
    return notFound()
  }
  const list = method === 'GET' ? LISTS.get(path) : undefined
  if (list) return await withoutEmpty(call, list, mailboxes)
  if (method === 'GET') return await call.forward()

  const refused = isUpload ? undefined : refuseMessage(call, mailboxes)
  if (refused) return refused
  const response = await call.forward()
  if (response.status !== 200) return response
  const changed = messageIn(
    await response
      .clone()
      .json()
      .catch(() => undefined),
  )
  if (changed) {
    if (path === 'messages/send' || path === 'drafts/send') await mailboxes.forward(email, changed.id)
    push.notify(email, changed.labelIds ?? [], changed.historyId)
  }
  return response
}

function profile(email: string, mailboxes: Mailboxes): Response {
  const messages = mailboxes.messages(email)
  return Response.json({
    emailAddress: email,
    messagesTotal: messages.length,
    threadsTotal: new Set(messages.map((message) => message['thread_id'])).size,
    historyId: mailboxes.currentHistoryId(email),
  })
}

async function watch(call: Call, mailboxes: Mailboxes, push: Push): Promise<Response> {
  const { email, json = {} } = call
  const topic = typeof json['topicName'] === 'string' ? json['topicName'] : ''
  if (!/^projects\/[^/]+\/topics\/[^/]+$/.test(topic)) {
    return googleError(400, `Invalid topicName does not match projects/<project>/topics/*`, 'invalidArgument')
  }
  const response = await call.forward()
  if (response.status !== 200) return response
  const labels = Array.isArray(json['labelIds']) ? json['labelIds'].map(String) : []
  const excludes = [json['labelFilterBehavior'], json['labelFilterAction']].some(
    (value) => typeof value === 'string' && value.toUpperCase() === 'EXCLUDE',
  )
  const expiration = push.watch(email, topic, labels, excludes)
  if (expiration === false) {
    return googleError(
      400,
      'Only one user push notification client allowed per developer (call /stop then try again)',
      'failedPrecondition',
    )
  }
  return Response.json({ historyId: mailboxes.currentHistoryId(email), expiration: String(expiration) })
}

/** Gmail leaves a list out where it would be empty; a client that counts on `[]` must fail here too. */
async function withoutEmpty(call: Call, list: string, mailboxes: Mailboxes): Promise<Response> {
  const response = await call.forward()
  if (response.status !== 200) return response
  const body = (await response.json()) as Record<string, unknown>
  if (Array.isArray(body[list]) && body[list].length === 0) delete body[list]
  if (list === 'history') body['historyId'] = mailboxes.atLeastFloor(call.email, body['historyId'] as string)
  return Response.json(body)
}

const TAKES_MESSAGE = /^(messages|messages\/(send|import)|drafts|drafts\/[^/]+)$/

function refuseMessage({ email, path, json, method }: Call, mailboxes: Mailboxes): Response | undefined {
  if (!TAKES_MESSAGE.test(path) || path === 'drafts/send' || method === 'DELETE') return undefined
  const nested = path.startsWith('drafts') ? json?.['message'] : json
  const message = (typeof nested === 'object' && nested !== null ? nested : {}) as Record<string, unknown>
  const { raw, threadId } = message
  if (typeof raw !== 'string' || raw === '') {
    const text = "'raw' RFC822 payload message string or uploading message via /upload/* URL required"
    return googleError(400, text, 'invalidArgument')
  }
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(raw)) {
    return googleError(400, "Invalid value at 'raw' (TYPE_BYTES), Base64 decoding failed", 'invalidArgument')
  }
  const text = Buffer.from(raw, 'base64url').toString('latin1')
  if (!/^[!-9;-~]+:/.test(text)) return googleError(400, 'Invalid message: no headers', 'invalidArgument')
  const head = text.slice(0, /\r?\n\r?\n/.exec(text)?.index ?? text.length)
  if (path === 'messages/send' && !/^(to|cc|bcc):\s*\S/im.test(head)) {
    return googleError(400, 'Recipient address required', 'invalidArgument')
  }
  if (typeof threadId === 'string' && threadId !== '' && !mailboxes.hasThread(email, threadId))
    return notFound()
  return undefined
}

const SCOPE = 'https://www.googleapis.com/auth/gmail.'

function mayCall({ scopes }: Grant, method: string, path: string): boolean {
  const has = (...names: string[]) => names.some((name) => scopes.includes(`${SCOPE}${name}`))
  if (scopes.includes('https://mail.google.com/')) return true
  if (method === 'DELETE' && /^(messages|threads)\//.test(path)) return false
  if (has('modify')) return true
  if (method === 'GET' || path === 'watch' || path === 'stop') return has('readonly', 'metadata')
  if (path === 'messages/send') return has('send', 'compose')
  if (path.startsWith('drafts')) return has('compose')
  if (path.startsWith('labels')) return has('labels')
  return path === 'messages/import' || path === 'messages' ? has('insert') : false
}

function messageIn(body: unknown): MessageResource | undefined {
  const resource = body as { message?: MessageResource } & Partial<MessageResource>
  const message = resource?.message ?? resource
  return message?.id !== undefined && message.historyId !== undefined
    ? (message as MessageResource)
    : undefined
}

function parseJson(body: ArrayBuffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

// Between the form's routes and HTTP: what browsers and scripts post, and what each of them gets back.
import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import { toFieldErrors } from '#http/errors'
import type { AppEnv } from '#http/router'
import { AppError, errorStatus, invalidField, notFound } from '#kernel/errors'
import type { Form } from '../service/show-form'
import type { PostedForm, ReceivedLead } from '../service/receive-form'
import {
  HONEYPOT,
  parseUrlencoded,
  type PostedValue,
  RENDER_TOKEN,
  toFormFields,
  TURNSTILE,
} from '../policy/form-fields'
import { formFields, type Language, pickLanguage, textsIn } from '../policy/form-texts'
import { formInput, type FormLead, type FormSettings } from '../schema'
import { formPage, messagePage, pagePolicy, thanksPage } from './form-page'

type C = Context<AppEnv>

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\b/i
const isJson = (c: C) => JSON_TYPE.test(c.req.header('Content-Type') ?? '')
/** Somebody looks at the answer in a browser. */
const isPage = (c: C) => !isJson(c) && (c.req.header('Accept') ?? '').includes('text/html')

export function languageOf(c: C): Language {
  return pickLanguage(c.req.query('lang'), c.req.header('Accept-Language'))
}

export async function readPost(
  c: C,
  json: FormLead,
  idempotency_key: string | undefined,
): Promise<PostedForm> {
  const input = isJson(c) ? json : readFields(await readPairs(c))
  const {
    [HONEYPOT]: honeypot,
    [RENDER_TOKEN]: render_token,
    [TURNSTILE]: turnstile_token,
    ...inquiry
  } = input
  return {
    inquiry,
    honeypot,
    render_token,
    turnstile_token,
    idempotency_key,
    origin: c.req.header('Origin') ?? null,
    own_origin: new URL(c.req.url).origin,
    is_page: isPage(c),
  }
}

function readFields(pairs: [string, PostedValue][]): FormLead {
  const read = formInput.safeParse(toFormFields(pairs))
  if (read.success) return read.data
  throw new AppError('invalid', 'The request does not match the schema.', {
    errors: toFieldErrors(read.error.issues, 'form'),
  })
}

async function readPairs(c: C): Promise<[string, PostedValue][]> {
  const type = c.req.header('Content-Type') ?? ''
  if (/^application\/x-www-form-urlencoded\b/i.test(type))
    return parseUrlencoded(new TextDecoder().decode(await c.req.arrayBuffer()))
  if (!/^multipart\/form-data\b/i.test(type))
    throw new AppError('unsupported_media_type', 'Send JSON or a form.')
  try {
    return [...(await c.req.formData())].map(([name, value]) => [
      name,
      typeof value === 'string' ? value : { file: value.name, size: value.size },
    ])
  } catch {
    throw invalidField('body', 'is no form that can be read')
  }
}

export async function answerLead(c: C, lead: ReceivedLead): Promise<Response> {
  const { replayed, redirect_url, ...received } = lead
  if (!isPage(c)) {
    if (received.status === 'queued') return c.json(received, 202)
    if (!replayed) return c.json(received, 201)
    c.header('Idempotent-Replayed', 'true')
    return c.json(received, 200)
  }
  const target = redirectTo(redirect_url)
  if (target !== null) return c.redirect(target, 303)
  return await show(c, 200, thanksPage(languageOf(c)))
}

/** Only what an organization's settings may hold; a URL's own text has no line break. */
function redirectTo(url: string | null): string | null {
  if (url === null || !URL.canParse(url)) return null
  const { protocol, href } = new URL(url)
  return protocol === 'https:' || protocol === 'http:' ? href : null
}

export async function drawForm(c: C, form: Form): Promise<Response> {
  const { allowed_origins, redirect_url, ...rest } = form
  const target = redirectTo(redirect_url)
  return await show(c, 200, formPage({ ...rest, language: languageOf(c) }), {
    frame_ancestors: allowed_origins,
    form_targets: target === null ? [] : ['https:', ...(target.startsWith('http:') ? ['http:'] : [])],
    turnstile: form.turnstile_site_key !== null,
  })
}

/** May stand in a frame wherever the form may: nothing in it is anybody's but the visitor's. */
async function show(
  c: C,
  status: 200 | (typeof errorStatus)[keyof typeof errorStatus],
  body: ReturnType<typeof thanksPage>,
  policy: Parameters<typeof pagePolicy>[0] = { frame_ancestors: [], form_targets: [], turnstile: false },
): Promise<Response> {
  c.header('Content-Security-Policy', await pagePolicy(policy))
  // Not `no-store`: who goes back finds what was typed.
  c.header('Cache-Control', 'private, no-cache')
  // With none at all a browser would hide from us that the page is our own.
  c.header('Referrer-Policy', 'same-origin')
  c.header('Content-Language', languageOf(c))
  return await c.html(body, status)
}

export function toSettings(form: Form, language: Language): FormSettings {
  const { title: _title, ...texts } = textsIn(language)
  return {
    name: form.name,
    language,
    render_token: form.render_token,
    turnstile_site_key: form.turnstile_site_key,
    honeypot: HONEYPOT,
    fields: formFields.map(({ max: max_length, ...field }) => ({
      ...field,
      label: texts[field.name],
      max_length,
    })),
    texts: {
      optional: texts.optional,
      submit: texts.submit,
      sending: texts.sending,
      thanks: `${texts.thanks_title}. ${texts.thanks}`,
      wrong_email: texts.wrong_email,
      wrong_field: texts.wrong_field,
      challenge: texts.challenge,
      wait: texts.wait,
      retry: texts.retry,
      failed: texts.failed,
      leave_empty: texts.leave_empty,
    },
  }
}

/** A browser is shown what is wrong as a page; where it helps, with the form and all that was typed. */
export const showErrors = createMiddleware<AppEnv>(async (c, next) => {
  await next()
  if (c.error === undefined || !isPage(c)) return
  const error = c.error instanceof AppError ? c.error : new AppError('internal', '')
  const { status } = c.res
  const code = (Object.keys(errorStatus) as (keyof typeof errorStatus)[]).find(
    (one) => errorStatus[one] === status,
  )
  c.res = await errorPage(c, code ?? error.code, error)
})

const MAX_REDRAWN = 300
const MENDABLE = new Set(['invalid', 'unprocessable', 'rate_limited', 'unavailable', 'internal'])

async function errorPage(c: C, code: keyof typeof errorStatus, error: AppError): Promise<Response> {
  const language = languageOf(c)
  const texts = textsIn(language)
  const { errors = [], retry_after_seconds = 60 } = error.details
  const slug = c.req.param('company_slug')
  const status = errorStatus[code]
  const pairs = c.req.method === 'POST' && MENDABLE.has(code) ? await readPairs(c).catch(() => null) : null
  if (slug === undefined || pairs === null) {
    const [title, text] =
      code === 'not_found' || (code === 'invalid' && c.req.method === 'GET')
        ? [texts.no_form_title, texts.no_form]
        : [
            texts.failed,
            { forbidden: texts.not_here, too_large: texts.too_large }[code as string] ?? texts.retry,
          ]
    return await show(c, status, messagePage(language, title, text))
  }
  const general = {
    invalid: texts.wrong,
    unprocessable: errors.length > 0 ? texts.wrong : texts.failed,
    rate_limited: texts.wait.replace('{seconds}', String(retry_after_seconds)),
  }[code as string]
  const { TURNSTILE_SECRET_KEY: secret, TURNSTILE_SITE_KEY: site_key } = c.get('ctx').config
  const turnstile_site_key = secret === undefined ? null : (site_key ?? null)
  const drawn = {
    slug,
    language,
    name: null,
    // The first one: whoever only mends a letter is quick.
    render_token: tokenIn(pairs),
    turnstile_site_key,
  }
  return await show(
    c,
    status,
    formPage(drawn, pairs.slice(0, MAX_REDRAWN), { general: general ?? texts.retry, errors }),
    {
      frame_ancestors: [],
      form_targets: ['https:', 'http:'],
      turnstile: turnstile_site_key !== null,
    },
  )
}

function tokenIn(pairs: readonly [string, PostedValue][]): string | undefined {
  const value = pairs.find(([name]) => name === RENDER_TOKEN)?.[1]
  return typeof value === 'string' ? value : undefined
}

/** Asked for at every visit of every page, so cached for an hour, and then asked for by its ETag. */
export async function serveScript(c: C): Promise<Response> {
  const asset = await c.env.ASSETS.fetch(c.req.raw)
  if (asset.status !== 200 && asset.status !== 304) throw notFound('The script')
  const answer = new Response(asset.body, asset)
  answer.headers.set('Cache-Control', 'public, max-age=3600, stale-while-revalidate=86400')
  answer.headers.set('Content-Type', 'text/javascript; charset=utf-8')
  answer.headers.set('Cross-Origin-Resource-Policy', 'cross-origin')
  return answer
}

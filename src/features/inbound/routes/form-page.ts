// The form's pages: plain HTML that works without a script. Every value goes through `html`, which escapes it.
import { html, raw } from 'hono/html'
import type { FieldError } from '#kernel/errors'
import { HONEYPOT, type PostedValue, RENDER_TOKEN, TURNSTILE } from '../policy/form-fields'
import { FORM_STYLE } from '../policy/form-style'
import { formFields, type FormTexts, type Language, textsIn } from '../policy/form-texts'

type Html = ReturnType<typeof html>

/** What a form is drawn from. */
export interface Drawn {
  slug: string
  language: Language
  name: string | null
  render_token: string | undefined
  turnstile_site_key: string | null
}

const TURNSTILE_ORIGIN = 'https://challenges.cloudflare.com'

function page(language: Language, title: string, head: Html | '', body: Html): Html {
  return html`<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${raw(FORM_STYLE)}</style>
${head}</head>
<body><main><div class="card">
${body}
</div></main></body>
</html>`
}

/** Without `posted` a fresh form, with it what was wrong, all that was typed, and the way to send it again. */
export function formPage(
  form: Drawn,
  posted: readonly (readonly [string, PostedValue])[] = [],
  problem?: { general: string; errors: readonly FieldError[] },
): Html {
  const texts = textsIn(form.language)
  const errors = (problem?.errors ?? []).map(({ path }) => ({ path, message: wordsFor(path, texts) }))
  // Of a name that comes twice the first counts, as it does when the form is read.
  const typed = new Map(
    posted
      .toReversed()
      .flatMap(([name, value]) => (typeof value === 'string' ? [[name, value] as const] : [])),
  )
  const drawn = new Set<string>([...formFields.map(({ name }) => name), HONEYPOT, RENDER_TOKEN, TURNSTILE])
  const others = posted.flatMap(([name, value]) =>
    typeof value === 'string' && !drawn.has(name) ? [[name, value] as const] : [],
  )
  const widget = form.turnstile_site_key !== null
  return page(
    form.language,
    form.name === null ? texts.title : `${texts.title} · ${form.name}`,
    widget ? html`<script src="${TURNSTILE_ORIGIN}/turnstile/v0/api.js" async defer></script>\n` : '',
    html`${form.name === null ? '' : html`<p class="by">${form.name}</p>`}
<h1>${texts.title}</h1>
${problem === undefined ? '' : summary(problem.general, errors, new Set([...drawn, ...others.map(([name]) => name)]))}
<form method="post" action="/lead/${form.slug}?lang=${form.language}" accept-charset="utf-8" enctype="multipart/form-data">
${formFields.map((field) => drawField(field, texts, typed.get(field.name) ?? '', messageFor(errors, field.name)))}
${others.map(([name, value]) => drawOther(name, value, messageFor(errors, name)))}
<div class="hp" aria-hidden="true"><label for="${HONEYPOT}">${texts.leave_empty}</label>
<input id="${HONEYPOT}" name="${HONEYPOT}" type="text" tabindex="-1" autocomplete="off" data-1p-ignore data-lpignore="true" data-bwignore></div>
${form.render_token === undefined ? '' : html`<input type="hidden" name="${RENDER_TOKEN}" value="${form.render_token}">`}
${widget ? challenge(form, texts) : ''}
<div class="wide"><button type="submit">${texts.submit}</button></div>
</form>`,
  )
}

function challenge({ turnstile_site_key, language }: Drawn, texts: FormTexts): Html {
  return html`<div class="wide"><div class="cf-turnstile" data-sitekey="${turnstile_site_key}" data-action="lead" data-language="${language}"></div>
<noscript><p class="error">${texts.needs_script}</p></noscript></div>`
}

function summary(general: string, errors: readonly FieldError[], drawn: ReadonlySet<string>): Html {
  return html`<div class="summary" role="alert" tabindex="-1" autofocus><p>${general}</p>
${errors.length === 0 ? '' : html`<ul>${errors.map(({ path, message }) => (drawn.has(path) && path !== TURNSTILE ? html`<li><a href="#${path}">${message}</a></li>` : html`<li>${message}</li>`))}</ul>`}</div>`
}

function drawField(
  { name, type, required, autocomplete, max }: (typeof formFields)[number],
  texts: FormTexts,
  value: string,
  error: string | undefined,
): Html {
  const common = html`id="${name}" name="${name}" autocomplete="${autocomplete}" maxlength="${max}"${required ? raw(' required') : ''}${flags(name, error)}`
  return html`<div class="${type === 'textarea' ? 'wide' : ''}"><label for="${name}">${texts[name]}${required ? '' : html` <small>(${texts.optional})</small>`}</label>
${type === 'textarea' ? html`<textarea ${common} rows="6">${value}</textarea>` : html`<input type="${type}" ${common} value="${value}">`}
${error === undefined ? '' : html`<p class="error" id="${name}-error">${error}</p>`}</div>`
}

/** A field of somebody else's form: kept as it was, shown where it has to be put right. */
function drawOther(name: string, value: string, error: string | undefined): Html {
  if (error === undefined) return html`<input type="hidden" name="${name}" value="${value}">`
  return html`<div class="wide"><label for="${name}">${name}</label>
<input type="text" id="${name}" name="${name}" value="${value}"${flags(name, error)}>
<p class="error" id="${name}-error">${error}</p></div>`
}

function flags(name: string, error: string | undefined): Html | '' {
  return error === undefined ? '' : html` aria-invalid="true" aria-describedby="${name}-error"`
}

function messageFor(errors: readonly FieldError[], name: string): string | undefined {
  return errors.find(({ path }) => path === name)?.message
}

/** In the visitor's words and language; what the API says is English. */
function wordsFor(path: string, texts: FormTexts): string {
  if (path === 'email') return texts.wrong_email
  if (path === TURNSTILE) return texts.challenge
  const field = formFields.find(({ name }) => name === path)
  return `${field === undefined ? path : texts[field.name]}: ${texts.too_long}`
}

export function thanksPage(language: Language): Html {
  const texts = textsIn(language)
  return page(
    language,
    texts.thanks_title,
    '',
    html`<span class="tick" aria-hidden="true">✓</span><h1 tabindex="-1" autofocus>${texts.thanks_title}</h1><p class="lead" role="status">${texts.thanks}</p>`,
  )
}

export function messagePage(language: Language, title: string, text: string): Html {
  return page(language, title, '', html`<h1 tabindex="-1" autofocus>${title}</h1><p class="lead">${text}</p>`)
}

let style_hash: string | undefined

/**
 * Nothing but our own style, and Turnstile's script where it is wanted. `form_targets`: Chrome holds `form-action` against the
 * redirect that answers a form, too.
 */
export async function pagePolicy(options: {
  frame_ancestors: readonly string[]
  form_targets: readonly string[]
  turnstile: boolean
}): Promise<string> {
  style_hash ??= await hashOf(FORM_STYLE)
  const { frame_ancestors, form_targets, turnstile } = options
  return [
    `default-src 'none'`,
    `style-src 'sha256-${style_hash}'`,
    `img-src data:`,
    ...(turnstile ? [`script-src ${TURNSTILE_ORIGIN}`, `frame-src ${TURNSTILE_ORIGIN}`] : []),
    `form-action ${["'self'", ...form_targets].join(' ')}`,
    `base-uri 'none'`,
    `frame-ancestors ${frame_ancestors.length === 0 ? '*' : ["'self'", ...frame_ancestors].join(' ')}`,
  ].join('; ')
}

async function hashOf(text: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return btoa(String.fromCharCode(...new Uint8Array(hash)))
}

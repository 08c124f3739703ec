// The link at the end of a mail. Scanners follow links, so looking at it changes nothing; the button and the mail program's own
// button (RFC 8058) post. Neither asks who is there: whoever has the mail may end it.
import { html } from 'hono/html'
import { createRoute, emptyResponses, z } from '#http/openapi'
import { createRouter } from '#http/router'
import { readLink, unsubscribe } from '../service/unsubscribe'

const tags = ['Unsubscribe']
const tokenParam = z.object({ token: z.string().openapi({ param: { name: 'token', in: 'path' } }) })
const text = z.string().openapi('UnsubscribePage')
const page = (description: string) => ({ description, content: { 'text/html': { schema: text } } })
const { 204: _empty, ...problems } = emptyResponses(404, 413)

const show = createRoute({
  method: 'get',
  path: '/u/{token}',
  tags,
  summary: 'A page with a button; changes nothing',
  request: { params: tokenParam },
  responses: { ...problems, 200: page('The page') },
})

const post = createRoute({
  method: 'post',
  path: '/u/{token}',
  tags,
  summary: 'No more mail to the recipient of this one',
  description: [
    'A form body, as the page or a mail program posts it (RFC 8058: `List-Unsubscribe=One-Click`, urlencoded or multipart), or none.',
    'Needs no sign-in and no cookie, and never redirects. Again is no error. What a person writes by hand in answer to the recipient',
    'still leaves.',
  ].join(' '),
  request: { params: tokenParam },
  responses: {
    200: page('Done; blank for a mail program'),
    202: page('The database is down: it is kept, and done as soon as it answers'),
    ...problems,
  },
})

export const unsubscribeRoutes = createRouter()
  .openapi(show, async (c) => {
    await readLink(c.get('ctx'), c.req.valid('param').token)
    return c.html(ASK, 200, await headers())
  })
  .openapi(post, async (c) => {
    const one_click = ONE_CLICK.test(new TextDecoder().decode(await c.req.arrayBuffer()))
    const outcome = await unsubscribe(c.get('ctx'), c.req.valid('param').token)
    const status = outcome === 'done' ? 200 : 202
    return one_click
      ? c.html('', status, await headers())
      : c.html(outcome === 'done' ? DONE : KEPT, status, await headers())
  })

/** In either encoding; the rest of the body is nobody's business. */
const ONE_CLICK = /(?:^|&)List-Unsubscribe=One-Click(?:&|\s*$)|name="?List-Unsubscribe"?/i

const STYLE =
  'body{margin:0 auto;max-width:32rem;padding:3rem 1.5rem;font:1.0625rem/1.5 system-ui,sans-serif}button{font:inherit;padding:.75rem 1.5rem;min-height:3rem;cursor:pointer}'

const ASK = draw(
  'No more mail?',
  html`<p>Press the button, and this address gets no more mail of this kind. What you write to us is still answered.</p>
<form method="post"><button type="submit">Unsubscribe</button></form>`,
)
const DONE = draw(
  'You are unsubscribed',
  html`<p role="status">This address gets no more mail of this kind. You can close this page.</p>`,
)
const KEPT = draw(
  'You will be unsubscribed',
  html`<p role="status">We have kept your wish, and it is carried out within minutes. You can close this page.</p>`,
)

function draw(title: string, body: ReturnType<typeof html>) {
  return html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><meta name="robots" content="noindex"><title>${title}</title><style>${STYLE}</style></head>
<body><main><h1>${title}</h1>
${body}</main></body>
</html>`
}

/** The page has one style and nothing else; its address is a secret of the recipient. */
async function headers(): Promise<Record<string, string>> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(STYLE))
  const hash = btoa(String.fromCharCode(...new Uint8Array(digest)))
  return {
    'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',
  }
}

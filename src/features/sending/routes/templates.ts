import { requireUser, scopeOf, userOf } from '#http/auth'
import { readIfMatch, setEtag } from '#http/etag'
import { createRoute, emptyResponses, ifMatch, jsonBody, responses, userSecurity } from '#http/openapi'
import { createRouter } from '#http/router'
import {
  kindParam,
  mailTemplateIn,
  mailTemplateOut,
  mailTemplatePage,
  previewIn,
  previewOut,
} from '../schema'
import {
  getTemplate,
  listTemplates,
  previewTemplate,
  removeTemplate,
  saveTemplate,
} from '../service/manage-templates'

const tags = ['Mail templates']
const reading = { tags, security: userSecurity, middleware: requireUser() }
const writing = { tags, security: userSecurity, middleware: requireUser('owner', 'admin') }

const list = createRoute({
  ...reading,
  method: 'get',
  path: '/mail-templates',
  summary: 'The mails that the organization may word itself, and what each may name',
  responses: responses(200, mailTemplatePage, 401),
})

const get = createRoute({
  ...reading,
  method: 'get',
  path: '/mail-templates/{kind}',
  summary: 'One of them: our own words until the organization has saved its own',
  request: { params: kindParam },
  responses: responses(200, mailTemplateOut, 400, 401),
})

const put = createRoute({
  ...writing,
  method: 'put',
  path: '/mail-templates/{kind}',
  summary: 'Save the organization’s own words',
  description: [
    'Liquid without loops, includes and anything else that could grow: the tags `assign`, `case`, `comment`, `echo`, `if`, `raw`',
    'and `unless`, and the filters `capitalize`, `default`, `downcase`, `lstrip`, `rstrip`, `size`, `strip`, `strip_newlines`,',
    '`truncate`, `truncatewords` and `upcase`. Plain text. A mistake is refused with its line. Variables with `from_outside` hold',
    'what a stranger wrote into a form: they come as one line, with links taken apart.',
  ].join(' '),
  request: { params: kindParam, headers: ifMatch, body: jsonBody(mailTemplateIn) },
  responses: responses(200, mailTemplateOut, 400, 401, 403, 412, 413, 422),
})

const remove = createRoute({
  ...writing,
  method: 'delete',
  path: '/mail-templates/{kind}',
  summary: 'Back to our own words',
  request: { params: kindParam },
  responses: emptyResponses(400, 401, 403),
})

const preview = createRoute({
  ...writing,
  method: 'post',
  path: '/mail-templates/{kind}/preview',
  summary: 'What the mail would say, with an inquiry that was made up',
  description: 'What is not given is taken from what is stored.',
  request: { params: kindParam, body: jsonBody(previewIn) },
  responses: responses(200, previewOut, 400, 401, 403, 404, 409, 413, 422),
})

export const mailTemplateRoutes = createRouter()
  .openapi(list, async (c) => {
    const ctx = c.get('ctx')
    return c.json(await listTemplates(ctx, scopeOf(ctx)), 200)
  })
  .openapi(get, async (c) => {
    const ctx = c.get('ctx')
    const template = await getTemplate(ctx, scopeOf(ctx), c.req.valid('param').kind)
    setEtag(c, template.updated_at ?? 0)
    return c.json(template, 200)
  })
  .openapi(put, async (c) => {
    const ctx = c.get('ctx')
    const scope = { ...scopeOf(ctx), user_id: userOf(ctx).user_id }
    const { kind } = c.req.valid('param')
    const template = await saveTemplate(ctx, scope, kind, c.req.valid('json'), readIfMatch(c))
    setEtag(c, template.updated_at ?? 0)
    return c.json(template, 200)
  })
  .openapi(remove, async (c) => {
    const ctx = c.get('ctx')
    await removeTemplate(ctx, scopeOf(ctx), c.req.valid('param').kind)
    return c.body(null, 204)
  })
  .openapi(preview, async (c) => {
    const ctx = c.get('ctx')
    const { kind } = c.req.valid('param')
    return c.json(await previewTemplate(ctx, scopeOf(ctx), kind, c.req.valid('json')), 200)
  })

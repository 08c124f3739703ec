import { requireUser, scopeOf, userOf } from '#http/auth'
import { readIfMatch, setEtag } from '#http/etag'
import { createRoute, idParam, ifMatch, jsonBody, responses, userSecurity } from '#http/openapi'
import { readCursor } from '#http/page'
import { createRouter } from '#http/router'
import { approveIn, draftChange, draftOut, draftPage, draftsQuery, regenerateIn, rejectIn } from './schema'
import {
  approveDraft,
  editDraft,
  getDraft,
  listDrafts,
  regenerateDraft,
  rejectDraft,
} from './service/decide-draft'

const shared = { tags: ['Drafts'], security: userSecurity, middleware: requireUser() }

const list = createRoute({
  ...shared,
  method: 'get',
  path: '/drafts',
  summary: 'Reply drafts, newest first',
  request: { query: draftsQuery },
  responses: responses(200, draftPage, 400, 401),
})

const get = createRoute({
  ...shared,
  method: 'get',
  path: '/drafts/{id}',
  summary: 'One draft, with every rule of its automatic decision',
  request: { params: idParam },
  responses: responses(200, draftOut, 400, 401, 404),
})

const patch = createRoute({
  ...shared,
  method: 'patch',
  path: '/drafts/{id}',
  summary: 'Change the text; a reply that still waits to leave is called back by it',
  request: { params: idParam, headers: ifMatch, body: jsonBody(draftChange) },
  responses: responses(200, draftOut, 400, 401, 404, 409, 412),
})

const approve = createRoute({
  ...shared,
  method: 'post',
  path: '/drafts/{id}/approve',
  summary: "Send it after the organization's undo window",
  request: { params: idParam, headers: ifMatch, body: optionalBody(approveIn) },
  responses: responses(200, draftOut, 400, 401, 404, 409, 412, 422),
})

const reject = createRoute({
  ...shared,
  method: 'post',
  path: '/drafts/{id}/reject',
  summary: 'Send nothing; a reply that still waits to leave is called back',
  request: { params: idParam, headers: ifMatch, body: optionalBody(rejectIn) },
  responses: responses(200, draftOut, 400, 401, 404, 409, 412),
})

const regenerate = createRoute({
  ...shared,
  method: 'post',
  path: '/drafts/{id}/regenerate',
  summary: 'Ask the AI for another text, for a person to decide on',
  request: { params: idParam, headers: ifMatch, body: optionalBody(regenerateIn) },
  responses: responses(200, draftOut, 400, 401, 404, 409, 412),
})

function optionalBody<S extends Parameters<typeof jsonBody>[0]>(schema: S) {
  return { ...jsonBody(schema), required: false }
}

type Context = Parameters<typeof readIfMatch>[0]

function decisionOf(c: Context, id: string) {
  const ctx = c.get('ctx')
  return { scope: { ...scopeOf(ctx), user_id: userOf(ctx).user_id }, id, matches: readIfMatch(c) }
}

function shown<D extends { version: number }>(c: Context, draft: D): D {
  setEtag(c, draft.version)
  return draft
}

export const draftRoutes = createRouter()
  .openapi(list, async (c) => {
    const ctx = c.get('ctx')
    const { limit, cursor, ...filter } = c.req.valid('query')
    return c.json(await listDrafts(ctx, scopeOf(ctx), filter, { limit, after: readCursor(cursor) }), 200)
  })
  .openapi(get, async (c) => {
    const ctx = c.get('ctx')
    return c.json(shown(c, await getDraft(ctx, scopeOf(ctx), c.req.valid('param').id)), 200)
  })
  .openapi(patch, async (c) => {
    const decision = decisionOf(c, c.req.valid('param').id)
    return c.json(shown(c, await editDraft(c.get('ctx'), decision, c.req.valid('json').text)), 200)
  })
  .openapi(approve, async (c) => {
    const decision = decisionOf(c, c.req.valid('param').id)
    return c.json(shown(c, await approveDraft(c.get('ctx'), decision, c.req.valid('json').text)), 200)
  })
  .openapi(reject, async (c) => {
    const decision = decisionOf(c, c.req.valid('param').id)
    return c.json(shown(c, await rejectDraft(c.get('ctx'), decision, c.req.valid('json').reason)), 200)
  })
  .openapi(regenerate, async (c) => {
    const decision = decisionOf(c, c.req.valid('param').id)
    return c.json(
      shown(c, await regenerateDraft(c.get('ctx'), decision, c.req.valid('json').instruction)),
      200,
    )
  })

import { requireUser, userOf } from '#http/auth'
import { readIfMatch, setEtag } from '#http/etag'
import { createRoute, jsonBody, responses, userSecurity } from '#http/openapi'
import { createRouter } from '#http/router'
import { organizationChange, organizationOut } from './schema'
import { changeOrganization, readOrganization } from './service'

const shared = {
  tags: ['Organization'],
  security: userSecurity,
  middleware: requireUser('owner', 'admin'),
}

const get = createRoute({
  ...shared,
  method: 'get',
  path: '/organization',
  summary: 'The settings of the organization',
  responses: responses(200, organizationOut, 401, 403),
})

const patch = createRoute({
  ...shared,
  method: 'patch',
  path: '/organization',
  summary: 'Change settings; what is not named stays as it is',
  request: { body: jsonBody(organizationChange) },
  responses: responses(200, organizationOut, 400, 401, 403, 409, 412, 413, 422),
})

export const organizationRoutes = createRouter()
  .openapi(get, async (c) => {
    const ctx = c.get('ctx')
    const organization = await readOrganization(ctx, userOf(ctx).org_id)
    setEtag(c, organization.updated_at)
    return c.json(organization, 200)
  })
  .openapi(patch, async (c) => {
    const ctx = c.get('ctx')
    const { org_id } = userOf(ctx)
    const organization = await changeOrganization(ctx, org_id, c.req.valid('json'), readIfMatch(c))
    setEtag(c, organization.updated_at)
    return c.json(organization, 200)
  })

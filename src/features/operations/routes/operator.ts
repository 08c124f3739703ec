import {
  changeOrganization,
  newOrganization,
  organizationChange,
  organizationOut,
  readOrganization,
} from '#features/organizations'
import { requireOperator } from '#http/auth'
import { readIfMatch, setEtag } from '#http/etag'
import { createRoute, idParam, jsonBody, operatorSecurity, responses } from '#http/openapi'
import { readCursor } from '#http/page'
import { createRouter } from '#http/router'
import type { AppJob } from '#platform/context'
import { queueRoutes } from './queue'
import * as schema from '../schema'
import * as service from '../service/operate'

const shared = { tags: ['Operator'], security: operatorSecurity, middleware: requireOperator }

const listClients = createRoute({
  ...shared,
  method: 'get',
  path: '/admin/clients',
  summary: 'Organizations, newest first',
  request: { query: schema.clientQuery },
  responses: responses(200, schema.clientPage, 400, 401),
})
const createClient = createRoute({
  ...shared,
  method: 'post',
  path: '/admin/clients',
  summary: 'Make an organization',
  description:
    'Without a slug it gets a free one that follows from its name; a given one that is taken is 409.',
  request: { body: jsonBody(newOrganization) },
  responses: responses(201, organizationOut, 400, 401, 409, 413, 422),
})
const getClient = createRoute({
  ...shared,
  method: 'get',
  path: '/admin/clients/{id}',
  summary: 'One organization with its settings',
  request: { params: idParam },
  responses: responses(200, organizationOut, 400, 401, 404),
})
const patchClient = createRoute({
  ...shared,
  method: 'patch',
  path: '/admin/clients/{id}',
  summary: "Change an organization's settings; what is not named stays as it is",
  request: { params: idParam, body: jsonBody(organizationChange) },
  responses: responses(200, organizationOut, 400, 401, 404, 409, 412, 413, 422),
})
const listLeads = createRoute({
  ...shared,
  method: 'get',
  path: '/admin/leads',
  summary: 'Leads of all organizations, latest first',
  request: { query: schema.operatorLeadQuery },
  responses: responses(200, schema.operatorLeadPage, 400, 401),
})
const getLead = createRoute({
  ...shared,
  method: 'get',
  path: '/admin/leads/{id}',
  summary: 'One lead with its latest draft, its sends and what was posted about it',
  request: { params: idParam },
  responses: responses(200, schema.operatorLeadDetail, 400, 401, 404),
})
const patchLead = createRoute({
  ...shared,
  method: 'patch',
  path: '/admin/leads/{id}/status',
  summary: "Change a lead's status",
  request: { params: idParam, query: schema.newStatusQuery },
  responses: responses(200, schema.operatorLeadDetail, 400, 401, 404, 409, 412),
})
const listSweeps = createRoute({
  ...shared,
  method: 'get',
  path: '/admin/scheduler/jobs',
  summary: 'Every sweep: cron, last run, duration, result, next run',
  responses: responses(200, schema.scheduledJobList, 401),
})
const runSweep = createRoute({
  ...shared,
  method: 'post',
  path: '/admin/scheduler/jobs/{name}/run',
  summary: 'Run a sweep now',
  description: 'Answers how it went, also when it failed. 409 while it is running.',
  request: { params: schema.sweepParam },
  responses: responses(200, schema.scheduledJob, 400, 401, 404, 409),
})
const listLetters = createRoute({
  ...shared,
  method: 'get',
  path: '/admin/dead-letters',
  summary: 'Jobs that gave up, latest first',
  request: { query: schema.deadLetterQuery },
  responses: responses(200, schema.deadLetterPage, 400, 401),
})
const retryLetter = createRoute({
  ...shared,
  method: 'post',
  path: '/admin/dead-letters/{id}/retry',
  summary: 'Hand the job to its queue again',
  description:
    'Once a letter, then 409: what fails again becomes a new letter. 422 for what was no runnable job in the first place.',
  request: { params: idParam },
  responses: responses(200, schema.deadLetter, 400, 401, 404, 409, 422),
})
const health = createRoute({
  ...shared,
  method: 'get',
  path: '/admin/health',
  summary: 'What waits, what is late, what gave up',
  responses: {
    ...responses(200, schema.operationsHealth, 401),
    503: {
      description: 'A check is failing',
      content: { 'application/json': { schema: schema.operationsHealth } },
    },
  },
})

/** The registries come in from above: a feature does not know what the whole system runs. */
export function operationsRoutes({ sweeps, jobs }: { sweeps: service.Sweeps; jobs: readonly AppJob[] }) {
  return createRouter()
    .route('/', queueRoutes)
    .openapi(listClients, async (c) => {
      const { cursor, ...page } = c.req.valid('query')
      return c.json(await service.listClients(c.get('ctx'), { ...page, after: readCursor(cursor) }), 200)
    })
    .openapi(createClient, async (c) => {
      const client = await service.createClient(c.get('ctx'), c.req.valid('json'))
      setEtag(c, client.updated_at)
      return c.json(client, 201)
    })
    .openapi(getClient, async (c) => {
      const client = await readOrganization(c.get('ctx'), c.req.valid('param').id)
      setEtag(c, client.updated_at)
      return c.json(client, 200)
    })
    .openapi(patchClient, async (c) => {
      const { id } = c.req.valid('param')
      const client = await changeOrganization(c.get('ctx'), id, c.req.valid('json'), readIfMatch(c))
      setEtag(c, client.updated_at)
      return c.json(client, 200)
    })
    .openapi(listLeads, async (c) => {
      const { limit, offset, cursor, ...filter } = c.req.valid('query')
      const page = { limit, offset, after: readCursor(cursor) }
      return c.json(await service.listLeads(c.get('ctx'), filter, page), 200)
    })
    .openapi(getLead, async (c) => {
      const lead = await service.readLead(c.get('ctx'), c.req.valid('param').id)
      setEtag(c, lead.version)
      return c.json(lead, 200)
    })
    .openapi(patchLead, async (c) => {
      const { id } = c.req.valid('param')
      const { new_status } = c.req.valid('query')
      const lead = await service.changeStatus(c.get('ctx'), id, new_status, readIfMatch(c))
      setEtag(c, lead.version)
      return c.json(lead, 200)
    })
    .openapi(listSweeps, async (c) =>
      c.json({ data: await service.listSweeps(c.get('ctx'), sweeps), next_cursor: null }, 200),
    )
    .openapi(runSweep, async (c) =>
      c.json(await service.runSweepNow(c.get('ctx'), sweeps, c.req.valid('param').name), 200),
    )
    .openapi(listLetters, async (c) => {
      const { limit, offset, cursor, retried, ...rest } = c.req.valid('query')
      const filter = { ...rest, ...(retried === undefined ? {} : { retried: retried === 'true' }) }
      const page = { limit, offset, after: readCursor(cursor) }
      return c.json(await service.listLetters(c.get('ctx'), jobs, filter, page), 200)
    })
    .openapi(retryLetter, async (c) =>
      c.json(await service.retryLetter(c.get('ctx'), jobs, c.req.valid('param').id), 200),
    )
    .openapi(health, async (c) => {
      const report = await service.readHealth(c.get('ctx'), sweeps)
      return c.json(report, report.status === 'failing' ? 503 : 200)
    })
}

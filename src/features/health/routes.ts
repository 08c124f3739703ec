import { createRoute } from '#http/openapi'
import { createRouter } from '#http/router'
import * as schema from './schema'
import { checkDatabase, checkHealth, checkProviders } from './service'

const tags = ['Health']

const content = <S>(body: S) => ({ 'application/json': { schema: body } })

const health = createRoute({
  method: 'get',
  path: '/health',
  tags,
  summary: 'Whether the installation is well',
  description: 'When settings are missing it is 503 with the code `not_configured` and their names.',
  responses: {
    200: { description: 'Well', content: content(schema.health) },
    503: { description: 'A check is failing', content: content(schema.health) },
  },
})

const database = createRoute({
  method: 'get',
  path: '/health/db',
  tags,
  summary: 'The database, and whether its login is confined to one organization at a time',
  responses: {
    200: { description: 'Well', content: content(schema.databaseHealth) },
    503: {
      description: 'No answer, or a login that looks past row-level security',
      content: content(schema.databaseHealth),
    },
  },
})

const providers = createRoute({
  method: 'get',
  path: '/health/providers',
  tags,
  summary: 'Which features are configured, and the settings that the others lack',
  responses: { 200: { description: 'Success', content: content(schema.providersHealth) } },
})

export const healthRoutes = createRouter()
  .openapi(health, async (c) => {
    const report = await checkHealth(c.get('ctx'))
    return c.json(report, report.status === 'failing' ? 503 : 200)
  })
  .openapi(database, async (c) => {
    const report = await checkDatabase(c.get('ctx'))
    return c.json(report, report.status === 'failing' ? 503 : 200)
  })
  .openapi(providers, async (c) => c.json(await checkProviders(c.get('ctx')), 200))

import { describe, expect, it } from 'vitest'
import { createWorld, read } from '#test/world'

const SECRETS = /test-only|postgres|127\.0\.0\.1|localhost|:\/\//

describe('GET /health', () => {
  it('answers 200 with every check and its latency, in one round trip', async () => {
    const response = await createWorld().request('GET', '/health')
    expect(response.headers.get('Server-Timing')).toContain('desc="1"')
    expect(await read(response)).toEqual({
      status: 200,
      body: {
        status: expect.stringMatching(/^(ok|waking)$/),
        checks: {
          settings: { status: 'ok', latency_ms: 0 },
          database: { status: expect.stringMatching(/^(ok|waking)$/), latency_ms: expect.any(Number) },
        },
        checked_at: expect.any(String),
      },
    })
  })

  it('answers 503 when the database does not answer', async () => {
    const world = createWorld({ NEON_GATEWAY_URL: 'http://127.0.0.1:9' })
    const { status, body } = await read<{ status: string; checks: { database: { status: string } } }>(
      await world.request('GET', '/health'),
    )
    expect({ status, is: body.status, database: body.checks.database.status }).toEqual({
      status: 503,
      is: 'failing',
      database: 'failing',
    })
    expect(JSON.stringify(body)).not.toMatch(SECRETS)
  })

  it('answers 503 with the names of missing settings, and none of their values', async () => {
    const world = createWorld({ JWT_SECRET: 'test-only', ENCRYPTION_KEY: '' })
    for (const path of ['/health', '/health/db', '/health/providers', '/api/v1/organization']) {
      const { status, body } = await read<{ code: string; settings: string[] }>(
        await world.request('GET', path),
      )
      expect({ status, code: body.code, settings: body.settings }).toEqual({
        status: 503,
        code: 'not_configured',
        settings: ['JWT_SECRET', 'ENCRYPTION_KEY'],
      })
      expect(JSON.stringify(body)).not.toMatch(SECRETS)
    }
  })
})

describe('GET /health/db', () => {
  it('reports a login that cannot look past row-level security', async () => {
    const { status, body } = await read(await createWorld().request('GET', '/health/db'))
    expect({ status, body }).toEqual({
      status: 200,
      body: {
        status: expect.stringMatching(/^(ok|waking)$/),
        latency_ms: expect.any(Number),
        role: 'inlet_login',
        superuser: false,
        bypass_rls: false,
        inherits: false,
        checked_at: expect.any(String),
      },
    })
  })
})

describe('GET /health/providers', () => {
  it('names the settings that are missing, feature by feature, and neither secrets nor hosts', async () => {
    const world = createWorld({ GMAIL_WEBHOOK_SECRET: '', OPENAI_API_KEY: 'test-only-openai' })
    const { status, body } = await read<{
      providers: { name: string; configured: boolean; missing: string[] }[]
    }>(await world.request('GET', '/health/providers'))
    expect(status).toBe(200)
    expect(JSON.stringify(body)).not.toMatch(SECRETS)
    const find = (name: string) => body.providers.find((provider) => provider.name === name)
    expect(find('google')).toEqual({ name: 'google', configured: true, missing: [] })
    expect(find('gmail_push')).toEqual({
      name: 'gmail_push',
      configured: false,
      missing: ['GMAIL_WEBHOOK_SECRET'],
    })
    expect(find('openai')).toEqual({ name: 'openai', configured: true, missing: [] })
  })
})

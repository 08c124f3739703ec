import { listPausedTransports } from '#features/sending'
import type { Ctx } from '#platform/context'
import { type HealthStatus, isConfined, judgeLatency, type LoginRole, reportFeatures, worst } from './policy'
import * as repo from './repo'

export async function checkHealth(ctx: Ctx) {
  const database = await checkDatabase(ctx)
  const checks = {
    // Whoever gets here has them: without, every route answers 503 with their names.
    settings: { status: 'ok' as const, latency_ms: 0 },
    database: { status: database.status, latency_ms: database.latency_ms },
  }
  return { status: worst([checks.database.status]), checks, checked_at: database.checked_at }
}

export async function checkDatabase(ctx: Ctx) {
  const started = performance.now()
  const login = await findLogin(ctx)
  const latency_ms = Math.round(performance.now() - started)
  const status: HealthStatus = login && isConfined(login) ? judgeLatency(latency_ms) : 'failing'
  const nobody = { role: null, superuser: null, bypass_rls: null, inherits: null }
  return { status, latency_ms, ...(login ?? nobody), checked_at: ctx.clock.now() }
}

async function findLogin(ctx: Ctx): Promise<LoginRole | null> {
  try {
    const [answer] = await ctx.db.nobody().batch([repo.findLoginRole()])
    return answer.rows[0]?.login ?? null
  } catch (error) {
    ctx.log.error('health.database', error)
    return null
  }
}

export async function checkProviders(ctx: Ctx) {
  const { config } = ctx
  return {
    ai_provider: config.AI_PROVIDER,
    mail_transport: config.MAIL_TRANSPORT,
    providers: reportFeatures(config),
    paused_transports: await listPausedTransports(ctx).catch((error: unknown) => {
      ctx.log.error('health.transports', error)
      return null
    }),
  }
}

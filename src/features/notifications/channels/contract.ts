import type { Result } from '#kernel/failure'
import type { Ctx } from '#platform/context'
import type { Notice } from '../policy'

/** Where an organization wants to be told. */
export interface NoticeTarget {
  org_id: string
  slack_webhook_sealed: string | null
}

export interface NoticeChannel {
  name: 'slack'
  /**
   * Posts once. A failure says what follows: `rate_limited` and `transient` may be tried again, `permanent` never gets better
   * by itself. No failure names the target: a webhook's URL is a secret.
   */
  post(ctx: Ctx, target: NoticeTarget, notice: Notice): Promise<Result<null>>
}

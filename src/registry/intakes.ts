import { inboundIntake, mailIntake } from '#features/inbound'
import { mailEventIntake, unsubscribeIntake } from '#features/sending'
import type { IntakeKind } from '#kernel/intake'
import type { Ctx } from '#platform/context'

/** What comes in from outside and is kept while the database is down. */
export const intakes: readonly IntakeKind<Ctx>[] = [
  inboundIntake,
  mailIntake,
  mailEventIntake,
  unsubscribeIntake,
]

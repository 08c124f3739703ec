import { OpenAPIHono } from '@hono/zod-openapi'
import type { Actor } from '#kernel/actor'
import type { Ctx } from '#platform/context'
import { toFieldErrors } from './errors'
import { AppError } from '#kernel/errors'

export interface AppEnv {
  Bindings: Env
  Variables: { request_id: string; ctx: Ctx; actor: Actor | null }
}

/** A router whose validation failures are the product's own 400 with the names of the fields. */
export function createRouter(): OpenAPIHono<AppEnv> {
  return new OpenAPIHono<AppEnv>({
    defaultHook: (result) => {
      if (!result.success)
        throw new AppError('invalid', 'The request does not match the schema.', {
          errors: toFieldErrors(result.error.issues, result.target),
        })
    },
  })
}

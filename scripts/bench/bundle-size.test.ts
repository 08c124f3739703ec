import { expect, it } from 'vitest'
import { packageOf } from './bundle-size.ts'

it.each([
  ['src/features/leads/repo.ts', 'inlet itself'],
  ['durable-objects/mailbox.ts', 'inlet itself'],
  ['node_modules/zod/v4/core/core.js', 'zod'],
  ['node_modules/@hono/zod-openapi/dist/index.js', '@hono/zod-openapi'],
  ['../../node_modules/a/node_modules/b/index.js', 'b'],
  ['../../../node_modules/src/entity.ts', 'drizzle-orm'],
])('%s belongs to %s', (path, name) => {
  expect(packageOf(path)).toBe(name)
})

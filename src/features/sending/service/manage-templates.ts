import { recordAudit } from '#features/audit'
import type { Scope } from '#kernel/actor'
import { AppError, notFound } from '#kernel/errors'
import { type TemplateKind, templateKinds } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import { checkTemplate, type Outcome, type Rendered, type Template } from '../policy/render-template'
import { builtInTemplates, sampleValues, templateVariables } from '../policy/templates'
import * as repo from '../repo/templates'

/** Of the version that is there now; 0 is our own words. `null`: the caller did not ask. */
type Precondition = ((version: Date | number) => boolean) | null

export async function listTemplates(ctx: Ctx, scope: Scope) {
  const [stored] = await ctx.db.org(scope).batch([repo.list()])
  const data = templateKinds.map((kind) =>
    present(
      kind,
      stored.find((row) => row.kind === kind),
    ),
  )
  return { data, next_cursor: null }
}

export async function getTemplate(ctx: Ctx, scope: Scope, kind: TemplateKind) {
  const [[stored]] = await ctx.db.org(scope).batch([repo.findByKind(kind)])
  return present(kind, stored)
}

export async function saveTemplate(
  ctx: Ctx,
  scope: Scope & { user_id: string },
  kind: TemplateKind,
  template: Template,
  matches: Precondition,
) {
  accepted(await checkTemplate(template, sampleValues(kind)))
  const { org_id, user_id: updated_by } = scope
  const door = ctx.db.org(scope)
  const unchanged = matches === null ? null : await readVersion()
  const [, , [saved]] = await door
    .batch([
      repo.save({ org_id, kind, ...template, updated_by, updated_at: ctx.clock.now() }, unchanged),
      recordAudit(ctx, {
        org_id,
        action: 'mail_template.saved',
        entity: 'mail_template',
        entity_id: kind,
        fields: ['subject', 'body'],
      }),
      repo.findByKind(kind),
    ])
    .catch((error: unknown) => {
      throw repo.isLostRace(error) ? stale() : error
    })
  return present(kind, saved)

  async function readVersion(): Promise<Date | 'none'> {
    const [[current]] = await door.batch([repo.findByKind(kind)])
    if (matches !== null && !matches(current?.updated_at ?? 0)) throw stale()
    return current?.updated_at ?? 'none'
  }
}

/** Back to our own words. Again is no error. */
export async function removeTemplate(ctx: Ctx, scope: Scope, kind: TemplateKind): Promise<void> {
  const { org_id } = scope
  await ctx.db
    .org(scope)
    .batch([
      repo.remove(kind),
      recordAudit(ctx, {
        org_id,
        action: 'mail_template.removed',
        entity: 'mail_template',
        entity_id: kind,
      }),
    ])
    .catch((error: unknown) => {
      if (!repo.isLostRace(error)) throw error
    })
}

/** As it would leave: what is given, else what is stored, with the organization's own name and an inquiry that was made up. */
export async function previewTemplate(
  ctx: Ctx,
  scope: Scope,
  kind: TemplateKind,
  given: { subject?: string | undefined; body?: string | undefined },
): Promise<Rendered> {
  const [[stored], [organization]] = await ctx.db
    .org(scope)
    .batch([repo.findByKind(kind), repo.findOrganization(scope.org_id)])
  if (!organization) throw notFound('The organization')
  const { subject, body } = stored ?? builtInTemplates[kind]
  const values = { ...sampleValues(kind), ...organization }
  return accepted(
    await checkTemplate({ subject: given.subject ?? subject, body: given.body ?? body }, values),
  )
}

function accepted(outcome: Outcome<Rendered>): Rendered {
  if (outcome.ok) return outcome.value
  const errors = outcome.problems
    .slice(0, MAX_PROBLEMS)
    .map(({ path, line, message }) => ({ path, message: `Line ${line}: ${message}` }))
  throw new AppError('unprocessable', 'The template cannot be used.', { errors })
}

const MAX_PROBLEMS = 20

function present(kind: TemplateKind, stored: repo.StoredTemplate | undefined) {
  const variables = templateVariables[kind].map(({ name, description, from_outside }) => ({
    name,
    description,
    from_outside,
  }))
  const { subject, body } = stored ?? builtInTemplates[kind]
  return {
    kind,
    subject,
    body,
    built_in: stored === undefined,
    variables,
    updated_by: stored?.updated_by ?? null,
    updated_at: stored?.updated_at ?? null,
  }
}

function stale(): AppError {
  return new AppError('precondition_failed', 'It has changed since you read it. Read it again.')
}

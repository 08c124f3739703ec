import { fail, type Result } from '#kernel/failure'
import type { AiProviderName } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import { findDraftProvider } from '../providers'
import type { DraftInput, DraftOutput, DraftProvider } from '../providers/contract'
import { heuristic } from '../providers/heuristic'

/** Runs that died while they waited for the AI; the one after them does without it. */
const MAX_AI_ATTEMPTS = 3
/** And after these not even our own rules are trusted with the message. */
const MAX_ATTEMPTS = 5
/** A second call must still end within the draft's lease. */
const RETRY_WITHIN_MS = 10_000

export interface Written {
  output: DraftOutput
  provider: AiProviderName
  model: string | null
  /** Why the AI that was asked for did not write it. */
  failure: { code: string; message: string } | null
  /** Nothing of ours has looked at the message: it may be what kills the runs. */
  unread: boolean
}

/** There is always a draft: what no AI can write, our own rules write, and a person looks at it. */
export async function writeReply(
  ctx: Ctx,
  asked: { provider: AiProviderName; attempts: number; input: DraftInput },
): Promise<Written> {
  const { attempts, input } = asked
  if (attempts > MAX_ATTEMPTS)
    return empty({ code: 'gave_up', message: `No draft came of ${MAX_ATTEMPTS} attempts.` })
  const provider = findDraftProvider(asked.provider)
  if (provider === undefined) {
    const output = await byRules(ctx, input)
    const note = `The provider ${asked.provider} is not available here; the built-in rules wrote this.`
    return {
      output: { ...output, reason: `${output.reason} ${note}` },
      provider: 'heuristic',
      model: null,
      failure: null,
      unread: false,
    }
  }
  const model = provider.model(ctx.config)
  const result = await ask(ctx, provider, attempts, input)
  if (result.ok) return { output: result.value, provider: provider.name, model, failure: null, unread: false }
  const { code, message } = result.failure
  ctx.log.warn('draft.ai_failed', { provider: provider.name, code })
  const output = await byRules(ctx, input)
  return {
    output: {
      ...output,
      needs_human: true,
      reason: `${message} The built-in rules wrote this instead. ${output.reason}`,
    },
    provider: 'heuristic',
    model: null,
    failure: { code, message },
    unread: false,
  }
}

async function ask(
  ctx: Ctx,
  provider: DraftProvider,
  attempts: number,
  input: DraftInput,
): Promise<Result<DraftOutput>> {
  if (!provider.isConfigured(ctx.config))
    return fail('permanent', 'ai_not_configured', `The AI provider ${provider.name} is not configured.`)
  if (provider !== heuristic && attempts > MAX_AI_ATTEMPTS)
    return fail('permanent', 'ai_gave_up', `The AI gave no answer in ${MAX_AI_ATTEMPTS} attempts.`)
  const started = performance.now()
  const first = await attempt(ctx, provider, input)
  if (first.ok || first.failure.kind !== 'transient' || performance.now() - started > RETRY_WITHIN_MS)
    return first
  return attempt(ctx, provider, input)
}

async function attempt(ctx: Ctx, provider: DraftProvider, input: DraftInput): Promise<Result<DraftOutput>> {
  try {
    return await provider.draft(ctx, input)
  } catch (error) {
    ctx.log.error('draft.provider_threw', error, { provider: provider.name })
    return fail('permanent', 'ai_threw', 'The AI could not be asked.')
  }
}

async function byRules(ctx: Ctx, input: DraftInput): Promise<DraftOutput> {
  const result = await heuristic.draft(ctx, input)
  return result.ok ? result.value : emptyOutput('Nobody wrote a draft.')
}

function empty(failure: { code: string; message: string }): Written {
  return { output: emptyOutput(failure.message), provider: 'heuristic', model: null, failure, unread: true }
}

function emptyOutput(reason: string): DraftOutput {
  return {
    reply_text: '',
    confidence: 0,
    needs_human: true,
    reason,
    intent: 'general',
    category: 'inquiry',
    price_guidance: null,
  }
}

import type { AiProviderName } from '#kernel/vocabulary'
import type { DraftProvider } from './contract'
import { heuristic } from './heuristic'
import { openai } from './openai'

/** Every provider that exists. */
export const draftProviders: readonly DraftProvider[] = [heuristic, openai]

/** `undefined` for a name that a setting may hold and nobody has written yet. */
export function findDraftProvider(name: AiProviderName): DraftProvider | undefined {
  return draftProviders.find((provider) => provider.name === name)
}

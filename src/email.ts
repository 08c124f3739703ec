import { receiveEmail, type RoutedMessage } from '#features/inbound'
import { type CtxOptions, createContext } from '#platform/context'

/** The Worker's `email()` handler. A throw makes the sender's server try again. */
export async function takeEmail(
  message: RoutedMessage,
  env: Env,
  execution: Pick<ExecutionContext, 'waitUntil'>,
  overrides: Pick<CtxOptions, 'clock' | 'fetch'> = {},
): Promise<void> {
  const ctx = createContext(env, {
    ...overrides,
    actor: { type: 'system', name: 'email' },
    waitUntil: (work) => execution.waitUntil(work),
  })
  await receiveEmail(ctx, message)
}

import type { MailProvider } from './contract'
import { gmail } from './gmail'

export const mailProviders: readonly MailProvider[] = [gmail]

export function findProvider(name: string): MailProvider | undefined {
  return mailProviders.find((provider) => provider.name === name)
}

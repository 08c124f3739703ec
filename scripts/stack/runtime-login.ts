export const RUNTIME_LOGIN = 'inlet_login'

/** The same server and database, as the Worker's login. */
export function runtimeUrl(ownerUrl: string, password: string): string {
  const url = new URL(ownerUrl)
  url.username = RUNTIME_LOGIN
  url.password = password
  return url.href
}

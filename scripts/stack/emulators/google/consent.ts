// The consent screen. Like Google's, it lets a person refuse single scopes, or everything.

const FIELDS = [
  'redirect_uri',
  'scope',
  'state',
  'nonce',
  'client_id',
  'code_challenge',
  'code_challenge_method',
]

export function consentPage(url: URL, accounts: string[]): Response {
  const query = url.searchParams
  const scopes = splitScopes(query.get('scope') ?? '')
  const denied = new Set(query.getAll('deny_scope').flatMap(splitScopes))
  const hint = query.get('login_hint')?.toLowerCase()
  const sorted = accounts.toSorted((a, b) => Number(b === hint) - Number(a === hint))
  const hidden = FIELDS.map(
    (name) => `<input type="hidden" name="${name}" value="${escape(query.get(name) ?? '')}">`,
  )
  const boxes = scopes.map(
    (scope) =>
      `<label><input type="checkbox" name="grant_scope" value="${escape(scope)}"${denied.has(scope) ? '' : ' checked'}> ${escape(scope)}</label>`,
  )
  const buttons = sorted.map(
    (email) => `<button name="email" value="${escape(email)}">${escape(email)}</button>`,
  )
  return new Response(
    `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sign in (emulated Google)</title>
<style>body{font:16px/1.5 system-ui;max-width:32rem;margin:3rem auto;padding:0 1rem}label{display:block}
button{display:block;width:100%;margin:.5rem 0;padding:.7rem;font:inherit;text-align:left}</style>
<h1>Sign in</h1><p>Emulated Google. Choose the mailbox to connect, and what it may be used for.</p>
<form method="post" action="/o/oauth2/v2/auth/callback">
${hidden.join('\n')}<input type="hidden" name="granular" value="1">
<fieldset><legend>Access</legend>${boxes.join('\n')}</fieldset>
${buttons.join('\n')}
<button name="error" value="access_denied">Cancel</button>
</form></html>`,
    { headers: { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' } },
  )
}

export type Consent = { kind: 'granted'; form: URLSearchParams } | { kind: 'refused'; location: string }

/** What the person chose, from the page above or posted by a test without it (`deny_scope`, `error`). */
export function readConsent(body: string): Consent {
  const form = new URLSearchParams(body)
  const error = form.get('error')
  const redirect = form.get('redirect_uri') ?? ''
  if (error && URL.canParse(redirect)) {
    const location = new URL(redirect)
    location.searchParams.set('error', error)
    const state = form.get('state')
    if (state) location.searchParams.set('state', state)
    return { kind: 'refused', location: location.href }
  }
  const denied = new Set(form.getAll('deny_scope').flatMap(splitScopes))
  const allowed = form.has('granular') ? new Set(form.getAll('grant_scope')) : undefined
  const granted = splitScopes(form.get('scope') ?? '').filter(
    (scope) => !denied.has(scope) && (allowed === undefined || allowed.has(scope)),
  )
  form.set('scope', granted.join(' '))
  for (const name of ['deny_scope', 'grant_scope', 'granular', 'error']) form.delete(name)
  return { kind: 'granted', form }
}

export const splitScopes = (text: string): string[] => text.split(/\s+/).filter(Boolean)

const escape = (text: string) =>
  text.replace(
    /[&<>"]/g,
    (character) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[character] ?? '',
  )

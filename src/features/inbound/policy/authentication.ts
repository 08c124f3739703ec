// The DMARC verdict of the provider that received the mail, out of Authentication-Results (RFC 8601). Everything below the topmost
// header may come from the sender, and so may every word inside a comment, a quoted string or a property: so the grammar is read, not
// searched. Whatever cannot be read is no pass.

export interface DmarcVerdict {
  readonly verdict: 'pass' | 'fail' | 'none'
  readonly detail: string
}

interface Result {
  readonly method: string
  readonly result: string
  readonly properties: ReadonlyMap<string, string>
}

interface Results {
  readonly authserv_id: string | null
  readonly results: readonly Result[]
}

const MAX_LENGTH = 16_000

/** Splits at semicolons outside comments and quoted strings; comments become a space. Null when one is left open. */
function splitParts(value: string): string[] | null {
  const parts: string[] = []
  let part = ''
  let depth = 0
  let quoted = false
  for (let i = 0; i < value.length; i++) {
    const char = value.charAt(i)
    if (char === '\\' && (quoted || depth > 0)) {
      i++
      // An escaped character is text; a placeholder keeps it from meaning anything.
      if (depth === 0) part += '_'
    } else if (depth > 0) {
      if (char === '(') depth++
      else if (char === ')' && --depth === 0) part += ' '
    } else if (char === '"') {
      quoted = !quoted
      part += char
    } else if (quoted) part += /[\s;=]/.test(char) ? '_' : char
    else if (char === '(') depth = 1
    else if (char === ')') return null
    else if (char === ';') {
      parts.push(part)
      part = ''
    } else part += char
  }
  if (depth > 0 || quoted) return null
  parts.push(part)
  return parts.map((each) => each.trim())
}

/** "dmarc=pass header.from=example.com": the method is the first word only, whatever stands further right. */
function readResult(part: string): Result | null {
  const words = part.replace(/\s{0,50}=\s{0,50}/g, '=').split(/\s+/)
  const first = /^([a-z][a-z0-9-]{0,30})(?:\/\d{1,3})?=([a-z]{1,20})$/i.exec(words[0] ?? '')
  if (!first) return null
  const properties = new Map<string, string>()
  for (const word of words.slice(1)) {
    const equals = word.indexOf('=')
    if (equals <= 0) continue
    const name = word.slice(0, equals).toLowerCase()
    if (!properties.has(name))
      properties.set(
        name,
        word
          .slice(equals + 1)
          .replaceAll('"', '')
          .toLowerCase(),
      )
  }
  return { method: (first[1] ?? '').toLowerCase(), result: (first[2] ?? '').toLowerCase(), properties }
}

function readResults(value: string): Results | null {
  if (value.length > MAX_LENGTH) return null
  const parts = splitParts(value)
  const head = parts?.[0]
  if (parts === null || head === undefined) return null
  // Exchange Online writes no authserv-id: its header begins with the first result.
  const nameless = head.includes('=')
  const authserv_id = nameless ? null : (head.split(/\s+/)[0] ?? '').replaceAll('"', '').toLowerCase()
  const results = parts.slice(nameless ? 0 : 1).flatMap((part) => readResult(part) ?? [])
  return { authserv_id, results }
}

function isTrusted(results: Results, provider: 'google' | 'microsoft'): boolean {
  const id = results.authserv_id
  if (provider === 'google') return id === 'mx.google.com'
  if (id !== null)
    return /^(?:[a-z0-9-]+\.){1,6}protection\.outlook\.com$/.test(id) || id === 'protection.outlook.com'
  // Without a name, it has to be what Exchange writes: SPF first, and its own composite verdict.
  return (
    results.results[0]?.method === 'spf' && results.results.some((result) => result.method === 'compauth')
  )
}

/** The verdict of the topmost header, for the domain of From. */
export function readDmarc(
  authentication_results: readonly string[],
  provider: 'google' | 'microsoft',
  from_domain: string,
): DmarcVerdict {
  const top = authentication_results[0]
  if (top === undefined) return { verdict: 'none', detail: 'no Authentication-Results' }
  const results = readResults(top)
  if (results === null)
    return { verdict: 'none', detail: 'the topmost Authentication-Results cannot be read' }
  if (!isTrusted(results, provider)) {
    return {
      verdict: 'none',
      detail: `the topmost Authentication-Results is not ${provider}'s: ${(results.authserv_id ?? 'unnamed').slice(0, 100)}`,
    }
  }
  const dmarc = results.results.filter((result) => result.method === 'dmarc')
  const [first] = dmarc
  if (first === undefined) return { verdict: 'none', detail: 'no dmarc result' }
  if (dmarc.length > 1) return { verdict: 'fail', detail: 'several dmarc results' }
  if (first.result === 'none' || first.result === 'bestguesspass')
    return { verdict: 'none', detail: `dmarc=${first.result}` }
  if (first.result !== 'pass') return { verdict: 'fail', detail: `dmarc=${first.result}` }
  const domain = first.properties.get('header.from')?.replace(/\.$/, '')
  const wanted = from_domain.trim().toLowerCase().replace(/\.$/, '')
  if (wanted === '' || domain !== wanted) {
    return {
      verdict: 'fail',
      detail: `dmarc=pass, but for ${(domain ?? 'no domain').slice(0, 100)} instead of ${wanted.slice(0, 100)}`,
    }
  }
  return { verdict: 'pass', detail: `dmarc=pass header.from=${domain}` }
}

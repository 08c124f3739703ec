// Text as a model reads it: what is drawn differently but means the same becomes the same, what is not drawn at all goes away.

/** Cyrillic and Greek letters that look like Latin ones (Unicode TR39 confusables, the letters of English instructions). */
const CONFUSABLES: Readonly<Record<string, string>> = {
  а: 'a',
  в: 'b',
  с: 'c',
  ԁ: 'd',
  е: 'e',
  ё: 'e',
  һ: 'h',
  і: 'i',
  ї: 'i',
  ј: 'j',
  к: 'k',
  ӏ: 'l',
  м: 'm',
  н: 'h',
  о: 'o',
  р: 'p',
  ԛ: 'q',
  ѕ: 's',
  т: 't',
  ս: 'u',
  υ: 'u',
  ѵ: 'v',
  ԝ: 'w',
  х: 'x',
  у: 'y',
  ү: 'y',
  α: 'a',
  β: 'b',
  ϲ: 'c',
  ε: 'e',
  η: 'n',
  ι: 'i',
  κ: 'k',
  ν: 'v',
  ο: 'o',
  ρ: 'p',
  τ: 't',
  χ: 'x',
  γ: 'y',
  ı: 'i',
  ɡ: 'g',
  ɩ: 'i',
  ո: 'n',
  օ: 'o',
  ց: 'g',
}
const CONFUSABLE = new RegExp(`[${Object.keys(CONFUSABLES).join('')}]`, 'gu')
/** Format characters, variation selectors, tags, fillers: nothing that a reader sees. */
const UNSEEN = /[\p{Cf}\p{Default_Ignorable_Code_Point}]/gu

/** The readings of a text that patterns are tried on: as written, with look-alikes as Latin, without accents put over letters. */
export function readVariants(text: string): string[] {
  // Quote marks go, so that a phrase wrapped inside a quoted thread is one phrase.
  const unquoted = text.replace(/\n[ \t]{0,3}>[> \t]{0,40}/g, '\n')
  const plain = unquoted
    .normalize('NFKC')
    .replace(UNSEEN, '')
    .toLowerCase()
    .replace(/[\s\u00a0]+/g, ' ')
  const variants = new Set([plain])
  variants.add(plain.replace(CONFUSABLE, (letter) => CONFUSABLES[letter] ?? letter))
  // Zalgo and "ígnóre": accents go only in this reading, for other languages need them.
  variants.add(plain.normalize('NFD').replace(/\p{Mn}+/gu, ''))
  const spaced = joinSpacedLetters(plain)
  if (spaced !== plain) variants.add(spaced)
  return [...variants]
}

/** "i g n o r e" and "i.g.n.o.r.e" as words. */
function joinSpacedLetters(text: string): string {
  return text.replace(/(?<![\p{L}\p{N}])(?:\p{L}[ ._*-]){4,200}\p{L}(?![\p{L}\p{N}])/gu, (run) =>
    run.replace(/[ ._*-]/g, ''),
  )
}

/** Characters that only hide something: tags (unless in a flag), direction overrides, zero-width ones inside Latin words. */
export function findUnseen(text: string): string | null {
  const flags = text.replace(/\u{1f3f4}[\u{e0020}-\u{e007e}]{1,10}\u{e007f}/gu, '')
  if (/[\u{e0000}-\u{e007f}]/u.test(flags)) return 'tag characters'
  if (/[\u202d\u202e]/.test(text)) return 'direction override'
  const inside = text.match(/[a-z][\u200b-\u200d\u2060\ufeff]{1,20}(?=[a-z])/gi)?.length ?? 0
  if (inside >= 3) return 'zero-width characters inside words'
  const selectors = text.match(/[\u{e0100}-\u{e01ef}]/gu)?.length ?? 0
  return selectors >= 4 || /[\ufe00-\ufe0f]{4}/.test(text) ? 'variation selectors' : null
}

/** The tag characters of a text as the ASCII that they stand for. */
export function readTags(text: string): string {
  return [...text.matchAll(/[\u{e0020}-\u{e007e}]/gu)]
    .slice(0, 4000)
    .map((match) => String.fromCodePoint((match[0].codePointAt(0) ?? 0) - 0xe0000))
    .join('')
}

/** What long base64 runs say, where it is text. */
export function decodeBlobs(text: string): string[] {
  const found: string[] = []
  for (const match of text.matchAll(/[A-Za-z0-9+/_-]{32,20000}={0,2}/g)) {
    if (found.length >= 10) break
    const blob = match[0].slice(0, 8000).replaceAll('-', '+').replaceAll('_', '/').replace(/=+$/, '')
    try {
      const bytes = Uint8Array.from(
        atob(blob.slice(0, blob.length - (blob.length % 4 === 1 ? 1 : 0))),
        (char) => char.charCodeAt(0),
      )
      const decoded = new TextDecoder().decode(bytes)
      const odd = decoded.match(/[^\p{L}\p{N}\p{P}\p{S}\s]|\ufffd/gu)?.length ?? 0
      if (odd <= decoded.length / 20 && /\s/.test(decoded)) found.push(decoded)
    } catch {
      // Not base64 after all.
    }
  }
  return found
}

import { expect, it } from 'vitest'
import { languages, pickLanguage, textsIn } from './form-texts'

it.each([
  ['de', 'fr', 'de'],
  ['de-AT', undefined, 'de'],
  [undefined, 'pt-BR,es;q=0.8,en;q=0.5', 'es'],
  ['xx', 'fr-CH', 'fr'],
  ['deutsch', undefined, 'en'],
  ['', '', 'en'],
  [undefined, undefined, 'en'],
  ['<script>', '\u0000', 'en'],
])('for %j and %j the form speaks %s', (wished, accepted, language) => {
  expect(pickLanguage(wished, accepted)).toBe(language)
})

it('says everything in every language', () => {
  for (const language of languages) {
    expect(Object.keys(textsIn(language))).toEqual(Object.keys(textsIn('en')))
    expect(textsIn(language).wait).toContain('{seconds}')
    expect(Object.values(textsIn(language)).filter((text) => text.trim() === '')).toEqual([])
  }
})

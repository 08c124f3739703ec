// What the person wrote, without what they quoted and signed. Own code because the published libraries backtrack: one of them runs for
// seconds on a long quote, a poison message for a Worker. Each line is looked at a bounded number of times.
// The full text is kept beside the result, so a wrong cut hides something in one place and loses nothing.

import { findInlineAttribution, measureAttribution } from './quoted-attribution'
import { isGroupWise, measureHeaderBlock, readSeparator } from './quoted-headers'
import {
  isClosing,
  isDashedName,
  isDeviceSignature,
  isFooter,
  isRule,
  isSignatureDash,
  looksLikeSignature,
} from './quoted-signature'

type Mark = 'text' | 'blank' | 'quote' | 'attribution'

interface Marked {
  readonly lines: string[]
  readonly marks: Mark[]
  readonly forwarded: boolean
}

const QUOTE = /^[ \t\u00a0]{0,3}(?:>|&gt;)/

function isFence(line: string): boolean {
  return /^ {0,3}```/.test(line)
}

/** Marks '>' lines. A '>' that only closes an address or link of the line above is no quote. */
function markQuotes(lines: readonly string[]): Mark[] {
  const marks: Mark[] = []
  let open = false
  let fences = lines.filter(isFence).length
  let code = false
  for (const line of lines) {
    // A '>' inside ``` fences is a prompt or a comparison; a fence that is never closed opens nothing.
    if (isFence(line)) code = !code && --fences > 0
    const quoted: boolean = QUOTE.test(line) && !open && !code && !isGroupWise(line)
    marks.push(line.trim() === '' ? 'blank' : quoted ? 'quote' : 'text')
    const tail = line.slice(-300)
    open = !quoted && /<(?:https?:|mailto:|[^\s<>]{0,80}@?)[^<>\s]{0,280}$/.test(tail)
  }
  // A quote that was wrapped again on the way leaves its tail unmarked: a line in lower case between two quoted ones, after a long one.
  for (let i = 1; i < lines.length; i++) {
    if (marks[i] !== 'text' || marks[i - 1] !== 'quote') continue
    const wrapped = (lines[i - 1] ?? '').length >= 58 && /^\s{0,2}\p{Ll}/u.test((lines[i] ?? '').slice(0, 20))
    if (wrapped && (i + 1 >= lines.length || marks[i + 1] === 'quote' || marks[i + 1] === 'blank'))
      marks[i] = 'quote'
  }
  return marks
}

/** Finds attributions, separators and header blocks, and cuts off what follows them unmarked. */
function markMessage(input: readonly string[]): Marked {
  const lines = [...input]
  const marks = markQuotes(lines)
  // Index of the next line that is not blank, filled from the end, so that looking ahead costs nothing.
  const nextFilled = Array.from({ length: lines.length + 1 }, () => lines.length)
  for (let i = lines.length - 1; i >= 0; i--)
    nextFilled[i] = marks[i] === 'blank' ? (nextFilled[i + 1] ?? lines.length) : i
  const quoteAt = (index: number): boolean => marks[nextFilled[index] ?? lines.length] === 'quote'
  let written = false
  let pending = 0
  for (let i = 0; i < lines.length; i++) {
    if (marks[i] !== 'text') continue
    const line = lines[i] ?? ''
    const separator = readSeparator(line)
    if (separator === 'forwarded' && !written) return { lines, marks, forwarded: true }
    const block = separator === null ? measureHeaderBlock(lines, i, isRule(lines[i - 1] ?? '')) : 1
    if (block > 0) {
      // Above it nobody wrote anything: the block is what the person sent us (a forward, a form's mail), so it stays.
      if (!written) return { lines, marks, forwarded: true }
      return { lines: lines.slice(0, i), marks: marks.slice(0, i), forwarded: false }
    }
    const inline = findInlineAttribution(line)
    const span = inline > 0 ? 0 : measureAttribution(lines, i, quoteAt)
    if (inline > 0) lines[i] = line.slice(0, inline)
    if (span > 0 || inline > 0) {
      if (inline > 0) written = true
      if (!quoteAt(i + Math.max(span, 1))) {
        if (written) {
          const end = inline > 0 ? i + 1 : i
          return { lines: lines.slice(0, end), marks: marks.slice(0, end), forwarded: false }
        }
        if (++pending > 1) return { lines, marks, forwarded: true }
      }
      for (let j = i; j < i + span; j++) marks[j] = 'attribution'
      i += Math.max(span, 1) - 1
      continue
    }
    if (!isRule(line) && !isDeviceSignature(line)) written = true
  }
  return { lines, marks, forwarded: false }
}

/** Removes the quotes that a reader does not need: those at the end, and a single one that stands above or between the text. */
function removeQuotes({ lines, marks }: Marked): string[] {
  const last = marks.lastIndexOf('text')
  const lastQuote = marks.lastIndexOf('quote', last)
  const firstQuote = marks.indexOf('quote')
  let between = false
  for (let i = firstQuote + 1; i < lastQuote; i++) if (marks[i] === 'text') between = true
  // Answers between the lines make no sense without them; nor do words about a passage that the person picked out by hand.
  const keep = between || !marks.includes('attribution')
  return lines
    .slice(0, last + 1)
    .filter((_, i) => marks[i] !== 'attribution' && (keep || marks[i] !== 'quote'))
}

/** Cuts the text at the first line that begins a signature, when something was written above. */
function removeSignature(input: readonly string[]): string[] {
  const lines = [...input]
  while (lines.length > 0 && (lines.at(-1) ?? '').trim() === '') lines.pop()
  const lastQuote = lines.findLastIndex((line) => QUOTE.test(line))
  let words = false
  const kept: string[] = []
  for (const [i, line] of lines.entries()) {
    const left = lines.length - 1 - i
    const device = isDeviceSignature(line)
    const starts =
      device ||
      isSignatureDash(line) ||
      isFooter(line) ||
      (left <= 40 && isRule(line) && looksLikeSignature(lines.slice(i + 1))) ||
      (left <= 14 && isClosing(line) && looksLikeSignature(lines.slice(i + 1))) ||
      (left <= 2 && isDashedName(line) && (lines[i - 1] ?? '').trim() === '')
    // Without a word above it would leave nothing to read; above a kept quote it is the first of several parts.
    if (starts && words && i > lastQuote) return kept
    if (device && (words || left > 0)) continue
    kept.push(line)
    words ||= !QUOTE.test(line) && /[\p{L}\p{N}]/u.test(line)
  }
  return kept
}

function trimBlank(lines: readonly string[]): string {
  let end = lines.length
  while (end > 0 && ((lines[end - 1] ?? '').trim() === '' || isRule(lines[end - 1] ?? ''))) end--
  let start = 0
  while (start < end && (lines[start] ?? '').trim() === '') start++
  return lines.slice(start, end).join('\n').trimEnd()
}

/** The text that the person wrote. Empty only when the mail holds nothing but an attributed quote. */
export function stripQuoted(text: string): string {
  const input = text.replace(/\r\n?/g, '\n').split('\n')
  const marked = markMessage(input)
  const whole = trimBlank(input)
  if (marked.forwarded) return whole
  let lines = removeQuotes(marked)
  // A list's footer, a phone's line and a name may stand under each other: each cut uncovers the next.
  for (let round = 0; round < 3; round++) lines = removeSignature(lines)
  const result = trimBlank(lines)
  if (result !== '') return result
  const onlyQuote =
    marked.marks.includes('attribution') && marked.marks.includes('quote') && !marked.marks.includes('text')
  return onlyQuote ? '' : whole === '' ? text.trim() : whole
}

// Attribution lines: what a mail program puts above the text that it quotes ("On <date>, <name> wrote:").
// No standard describes them (RFC 3676 §4.5 only describes the '>' marks), so this recognises their parts: a verb of writing,
// a date, an address. Every test runs on a bounded slice, so a body of any size costs linear time.

const MAX_JOINED = 400
const MAX_LINES = 4

/** "wrote" as mail programs translate it. Longest forms first where one contains another. */
const VERBS = [
  'wrote|writes|has written|said|says',
  'a écrit|a ecrit|nous a dit|écrivait|écrit',
  'geschrieben|schrieben sie|schrieb|schreibt',
  'escribió|escribio|ha escrito|escribiu|va escriure|ha escrit|escreveu',
  'ha scritto|scrisse|scrive|het volgende geschreven|geschreven|schreef|verzond|skrev|skrifaði',
  'kirjoitti|kirjutas|rakstīja|rašė|napisał\\(a\\)|napisał|napisała|pisze|napsal\\(a\\)|napsala|napsal|napísala|napísal',
  'je napisao|je napisala|napisao|napisala|napisal|ezt írta|írta|a scris|έγραψε|написал\\(а\\)|написала|написал',
  'пишет|писал|пише|написав|написа|şunu yazdı|şunları yazdı|yazdı|tarihinde şunu|đã viết|menulis|idatzi du',
  'เขียนว่า|เขียน|כתב/ה|כתבה|כתב|كتبت|كتب|نوشت|ने लिखा|写道|寫道|写到|来信|のメッセージ|のメール|は書きました|さんが書きました|작성|님이 작성',
].join('|')

const EDGE_OPEN =
  '(?:^|[\\s,，、"\'“”»>)\\d\\p{Script=Han}\\p{Script=Hangul}\\p{Script=Hiragana}\\p{Script=Katakana}])'
/** The verb closes the line: "On …, Ann wrote:", also "---- On … wrote ----" (Zoho). */
const VERB_LAST = new RegExp(`${EDGE_OPEN}(?:${VERBS})[\\s.:：>*_~-]*$`, 'iu')
/** The verb stands before the name or the date: "Op … schreef Ann:", "Ann schrieb am …:". */
const VERB_INSIDE = new RegExp(`${EDGE_OPEN}(?:${VERBS})(?=[\\s:：(,]).{1,200}[:：]\\s*$`, 'iu')

const OPENERS =
  /^(?:on|at|in message|le|am|el|il|em|op|på|den|dne|dnia|dňa|w dniu|în|la|στις|on:|vào|pada|em:|no|na|в|у|на|во|a|az|το|בתאריך|في|در|เมื่อ|在|於|于|quoting|citando)(?=[\s,:\d])/iu
const WEEKDAYS =
  /^(?:mon|tue|wed|thu|fri|sat|sun|lun|mar|mer|jeu|ven|sam|dim|mi[eé]|jue|vie|s[aá]b|dom|gio|mo|di|mi|do|fr|sa|so|ma|wo|vr|za|zo|man|tir|tirs|ons|tor|tors|fre|fred|l[øö]r|s[øö]n|pe|ke|ti|to|la|su|pon|wt|śr|czw|pt|sob|niedz|po|út|st|čt|pá|so|ne|пн|вт|ср|чт|пт|сб|вс|нд|seg|ter|qua|qui|sex|понед|вторн|среда|четв|пятн|субб|воскр)\p{L}*[.,]?\s/iu

const YEAR = /(?:^|[^\d])(?:19|20)\d\d(?:[^\d]|$)/
const TIME = /(?:^|[^\d])\d{1,2}[:.h]\d\d(?:[^\d]|$)/
const NUMERIC_DATE = /\d{1,4}[./-]\s?\d{1,2}[./-]\s?\d{2,4}/
const ADDRESS = /[^\s<>()[\]@"]@[^\s<>()[\]@]/
/** Ends in an address, as in "2016-03-03 17:21 GMT+01:00 Ann <ann@example.com>:" (Gmail, Yandex). */
const ADDRESS_LAST =
  /(?:<[^<>]{0,120}@[^<>]{0,120}>|\[mailto:[^\]]{0,120}\]|[^\s<>]{1,64}@[^\s<>:]{1,120})\s*(?:\([^()]{0,60}\)\s*)?[:：]?[\s*>-]*$/
/** Horde and SquirrelMail. */
const QUOTING = /^(?:quoting|zitat von|quoted from|citando|quota|citation de) .{1,150}:$/iu
const BRACKETED = /<[^<>\s]{1,64}@[^<>\s]{1,120}>/
const DATE_FIRST =
  /^["'(]?(?:\d{1,4}[./年-]\s?\d{1,2}[./月-]|\d{1,2}\.?\s+\p{L}{3,12}\.?,?\s+\d{4}|\d{1,2}:\d\d\s?(?:[ap]\.?m\.?)?,?\s|\p{L}{2,12}[.,]{1,2}\s+\d{1,2}\.?\s+\p{L})/iu
const ISO_NAME_ONLY = /^20\d\d-\d\d-\d\d \d\d?:\d\d GMT[+-]\d\d:?\d\d \S[^.!?]{0,80}$/
const POSTED_BY = /^Posted by .{1,80} on \d{1,2}\/\d{1,2}\/\d{4}$/i

/** Whether the text carries a date, a time or an address: what tells an attribution from a sentence of the writer. */
function hasEvidence(text: string): boolean {
  return (
    YEAR.test(text) || NUMERIC_DATE.test(text) || (TIME.test(text) && /\d/.test(text)) || ADDRESS.test(text)
  )
}

/** Takes off the marks around an attribution: Zoho's and Proton's dashes, bold stars, direction marks. */
function trimMarks(text: string): string {
  let start = 0
  let end = text.length
  const marks = ' \t-–—‐*_\u200e\u200f\u202a\u202b\u202c\u00a0\ufeff'
  while (start < end && marks.includes(text.charAt(start))) start++
  while (end > start && marks.includes(text.charAt(end - 1))) end--
  return text.slice(start, end)
}

function isAttributionText(raw: string, quoteFollows: boolean): boolean {
  const text = trimMarks(raw)
  if (text.length < 6 || text.length > MAX_JOINED) return false
  const verbLast = VERB_LAST.test(text)
  if (verbLast || VERB_INSIDE.test(text)) {
    const closed = /[:：][\s>*]*$/.test(text) || /-{2,}\s*$/.test(raw) || quoteFollows
    if (closed && hasEvidence(text)) return true
    // Without a colon it may be a sentence: the opening word, a date and an address or a time must come together.
    const dated = YEAR.test(text) && (ADDRESS.test(text) || TIME.test(text))
    if (verbLast && dated && !text.endsWith('.') && OPENERS.test(text)) return true
    if (verbLast && quoteFollows && text.length < 120) return true
    return verbLast && closed && / via /.test(text) && text.length < 120
  }
  if (POSTED_BY.test(text) || ISO_NAME_ONLY.test(text)) return true
  if (QUOTING.test(text)) return true
  const dated = YEAR.test(text) || NUMERIC_DATE.test(text)
  if (dated && text.length <= 200 && /[:：]$/.test(text) && BRACKETED.test(text)) return true
  return (
    dated &&
    ADDRESS_LAST.test(text) &&
    (DATE_FIRST.test(text) || WEEKDAYS.test(text) || OPENERS.test(text)) &&
    text.length <= 200
  )
}

/** Whether a first line can open an attribution that goes on below; else the writer's last line would be taken with it. */
function canContinue(raw: string): boolean {
  const text = trimMarks(raw)
  if (text === '' || text.length > 200 || /[.!?]$/.test(text)) return false
  if (DATE_FIRST.test(text) || (WEEKDAYS.test(text) && /\d/.test(text))) return true
  if (OPENERS.test(text) && /\d/.test(text.slice(0, 80))) return true
  return /<[^<>\s]*$/.test(text) || /^[^.!?]{2,80}<[^<>\s]{1,120}@[^<>\s]{1,120}>,?$/.test(text)
}

function endsWithBlankBefore(next: string): boolean {
  return new RegExp(`^\\s*(?:${VERBS})(?=[\\s:：]|$)`, 'iu').test(next)
}

/** How many lines, from `at`, an attribution takes; 0 when there is none. `nextQuoted(i)` tells whether the text after line i is quoted. */
export function measureAttribution(
  lines: readonly string[],
  at: number,
  nextQuoted: (index: number) => boolean,
): number {
  const first = lines[at]?.slice(0, MAX_JOINED + 100) ?? ''
  if (first.trim() === '' || first.length > MAX_JOINED + 50) return 0
  if (isAttributionText(first, nextQuoted(at + 1))) return 1
  if (!canContinue(first)) return 0
  let joined = first.trim()
  for (let used = 1; used < MAX_LINES; used++) {
    const next = (lines[at + used] ?? '')
      .slice(0, MAX_JOINED)
      .replace(/^[\s>]*(?=\S)/, (m) => (m.includes('>') && m.length > 3 ? m : ''))
    if (next.trim() === '') {
      // Hotmail leaves an empty line before "schrieb": accepted only when the verb really comes next.
      if (!endsWithBlankBefore((lines[at + used + 1] ?? '').slice(0, 80))) return 0
      continue
    }
    joined = `${joined} ${next.trim()}`
    if (joined.length > MAX_JOINED) return 0
    if (isAttributionText(joined, nextQuoted(at + used + 1))) return used + 1
  }
  return 0
}

/** Where an attribution begins inside a line that also holds the writer's text ("Fine. On 4 Apr 2011, Ann wrote:"); -1 when it does not. */
export function findInlineAttribution(line: string): number {
  if (line.length > 2000 || !/wrote:\s*$/i.test(line.slice(-20))) return -1
  const start = line.lastIndexOf(' On ')
  if (start <= 0 || !/\p{L}/u.test(line.slice(0, start))) return -1
  const tail = line.slice(start + 1)
  return tail.length <= MAX_JOINED && hasEvidence(tail) && VERB_LAST.test(trimMarks(tail)) ? start : -1
}

// The day until which an out-of-office answer says its writer is away. No clock: the mail's own date tells the year that it leaves out.

const MONTHS: readonly string[] = [
  'january|jan|januar|janvier|janv|enero|ene|gennaio|gen|januari|janeiro|januari|styczeń|stycznia|января',
  'february|feb|februar|février|fevrier|févr|febrero|febbraio|februari|fevereiro|fev|lutego|февраля',
  'march|mar|märz|maerz|mär|mars|marzo|maart|mrt|março|marca|марта',
  'april|apr|avril|avr|abril|abr|aprile|kwietnia|апреля',
  'may|mai|mayo|maggio|mag|mei|maio|maj|maja|мая',
  'june|jun|juni|juin|junio|giugno|giu|junho|czerwca|июня',
  'july|jul|juli|juillet|juil|julio|luglio|lug|julho|lipca|июля',
  'august|aug|août|aout|agosto|ago|augustus|augusti|sierpnia|августа',
  'september|sept|sep|septembre|septiembre|settembre|set|setembro|września|сентября',
  'october|oct|oktober|okt|octobre|octubre|ottobre|ott|outubro|out|października|октября',
  'november|nov|novembre|noviembre|novembro|listopada|ноября',
  'december|dec|dezember|dez|décembre|decembre|déc|diciembre|dic|dicembre|dezembro|grudnia|декабря',
]
const MONTH_OF = new Map(
  MONTHS.flatMap((names, index) => names.split('|').map((name) => [name, index + 1] as const)),
)

// "From … to …" has two dates: the keyword picks the later one.
const KEYWORD =
  /\b(?:until|till|through|thru|to|return(?:ing)?(?: to the office)?(?: on)?|back(?: in the office| at work)?(?: on| from)?|bis(?: zum| einschließlich)?|zurück(?: am| ab)?|wieder(?: ab| am)?|ab dem|jusqu.au|jusqu.à|retour(?: le)?|de retour le|hasta(?: el)?|regres\p{L}+(?: el)?|vuelvo el|fino al|rientr\p{L}+(?: il)?|tornerò il|tot(?: en met)?|t\/m|terug(?: op)?|vanaf|até(?: o dia)?|retorn\p{L}+(?: em| no dia)?|do dnia|do|wracam|till och med|tillbaka(?: den)?|tilbage|tilbake|asti|до|по)(?=[\s:])/giu
const MONTH = MONTHS.join('|')
const DATE = new RegExp(
  '^[\\s:]{1,3}(?:\\p{L}{2,12}[.,]{0,2}\\s{1,2}){0,3}?(?:(\\d{4})-(\\d{1,2})-(\\d{1,2})|(\\d{1,2})[./](\\d{1,2})[./]?(\\d{4}|\\d{2})?' +
    `|(\\d{1,2})(?:st|nd|rd|th|\\.|º|er)?\\s{1,2}(?:of |de |di )?(${MONTH})(?!\\p{L})\\.?,?(?:\\s{1,2}(?:de )?(\\d{4}))?` +
    `|(${MONTH})\\.?\\s{1,2}(\\d{1,2})(?:st|nd|rd|th)?(?:,?\\s{1,2}(\\d{4}))?)`,
  'iu',
)

function toDay(year: number | null, month: number, day: number, sent: Date | null): string | null {
  if (month < 1 || month > 12 || day < 1 || day > 31) return null
  const base = sent ?? (year === null ? null : new Date(Date.UTC(year, 0, 1)))
  if (base === null) return null
  const full = year === null ? base.getUTCFullYear() : year < 100 ? 2000 + year : year
  let date = new Date(Date.UTC(full, month - 1, day))
  // "Until 3 January", written in December.
  if (year === null && date.getTime() < base.getTime() - 86_400_000)
    date = new Date(Date.UTC(full + 1, month - 1, day))
  if (date.getUTCDate() !== day) return null
  const days = (date.getTime() - base.getTime()) / 86_400_000
  return sent !== null && (days < -1 || days > 366) ? null : date.toISOString().slice(0, 10)
}

function readDate(text: string, sent: Date | null): string | null {
  const match = DATE.exec(text)
  if (!match) return null
  const numbers = match.slice(1).map((part) => (part === undefined ? null : Number(part)))
  if (match[1] !== undefined) return toDay(numbers[0] ?? null, numbers[1] ?? 0, numbers[2] ?? 0, sent)
  if (match[4] !== undefined) {
    const [first, second] = [numbers[3] ?? 0, numbers[4] ?? 0]
    const slashed = text.slice(0, 40).includes('/')
    // 3/4 is March or April by country: with nothing to tell, no date is better than a wrong one.
    if (slashed && first <= 12 && second <= 12 && first !== second) return null
    return slashed && second > 12
      ? toDay(numbers[5] ?? null, first, second, sent)
      : toDay(numbers[5] ?? null, second, first, sent)
  }
  const month = MONTH_OF.get((match[8] ?? match[10] ?? '').toLowerCase())
  if (month === undefined) return null
  return match[8] === undefined
    ? toDay(numbers[11] ?? null, month, numbers[10] ?? 0, sent)
    : toDay(numbers[8] ?? null, month, numbers[6] ?? 0, sent)
}

/** The last day that the text names after a word like "until" or "back on", as YYYY-MM-DD, or null. */
export function readAwayUntil(text: string, sent_at: string | null): string | null {
  const head = text.slice(0, 3000)
  const sent = sent_at === null ? null : new Date(sent_at)
  let latest: string | null = null
  for (const match of head.matchAll(KEYWORD)) {
    const day = readDate(head.slice(match.index + match[0].length, match.index + match[0].length + 80), sent)
    if (day !== null && (latest === null || day > latest)) latest = day
  }
  return latest
}

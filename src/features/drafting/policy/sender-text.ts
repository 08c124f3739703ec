// A form takes any address, so an automatic answer to it must carry nothing that its writer chose: else the form would be a
// way to mail a stranger's words to a victim from our address.
import { wordsOf } from './own-words'

const RUN = 3
/** Words that say nothing by themselves: a run of them is nobody's text. */
const COMMON = new Set(
  'a about all also am an and any are as at be been but by can could do does for from get give had has have hello hi how i if in is it its just know let like ll look m may me message more my need no not of on one or our out please re s see so some soon t take thank thanks that the their them then there they this to today up us ve very want was we well what when which who will with would you your'.split(
    ' ',
  ),
)

/** The first piece of the reply that comes from the sender, or null. `own` is what the organization and our templates say anyway. */
export function findSenderText(
  reply: string,
  sender: { name: string | null; subject: string; text: string },
  own: readonly string[],
): string | null {
  const ownWords = new Set(own.flatMap(wordsOf))
  const ownRuns = new Set(own.flatMap(runsBySentence))
  const said = wordsOf(`${sender.subject}\n${sender.text}`)
  const names = new Set(wordsOf(sender.name ?? '').filter((word) => word.length >= 2 && !COMMON.has(word)))
  const runs = new Set(runsOf(said))
  // One word is enough when nobody would write it by chance.
  const marks = new Set(said.filter((word) => word.length >= 4 && /\p{N}/u.test(word)))
  for (const word of wordsOf(reply)) {
    if ((names.has(word) || marks.has(word)) && !ownWords.has(word)) return word
  }
  return runsBySentence(reply).find((run) => runs.has(run) && !ownRuns.has(run)) ?? null
}

function runsBySentence(text: string): string[] {
  return text.split(/[.!?:\n]/).flatMap((sentence) => runsOf(wordsOf(sentence)))
}

function runsOf(words: string[]): string[] {
  const runs: string[] = []
  for (let i = 0; i + RUN <= words.length; i++) {
    const run = words.slice(i, i + RUN)
    if (run.some((word) => word.length >= 4 && !COMMON.has(word))) runs.push(run.join(' '))
  }
  return runs
}

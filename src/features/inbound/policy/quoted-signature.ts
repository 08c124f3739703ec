// Signatures and the lines that mail programs and lists put under a text. RFC 3676 §4.3 knows only "-- "; the rest is custom.

const DEVICE =
  'iphone|ipad|ipod|android|blackberry|samsung|galaxy|huawei|xiaomi|redmi|oneplus|nokia|sony|xperia|htc|motorola|wiko|pixel|outlook|windows|yahoo|gmail|aol|proton|mail|mailbird|airmail|spark|superhuman|thunderbird|k-9|blue|bluemail|nine|telefon|telefoon|téléphone|teléfono|telefone|mobil|mobile|mobiel|mobilny|cell|phone|smartphone|handy|tablet|tablette|iphona|iphonu|phonen|phoneista|айфон|телефон|смартфон|手机|手機|휴대|מכשיר|הטלפון'
const SENT_FROM = [
  `(?:this (?:message|e-?mail|mail) (?:was|has been) )?sent (?:from|via|using|with|by) (?:my |a |an |the |on )?.{1,60}`,
  `get outlook for .{1,40}`,
  `envoyé (?:depuis|de|à partir de|avec|par|via) .{1,60}`,
  `télécharge[rz] outlook pour .{1,40}`,
  `(?:diese (?:nachricht|e-?mail|mail) wurde )?(?:von|mit|aus) .{1,60} (?:gesendet|geschickt|verschickt|versendet)`,
  `gesendet (?:von|mit|über) .{1,60}|outlook für .{1,20} (?:herunterladen|beziehen|holen)|holen sie sich outlook für .{1,20}`,
  `enviado (?:desde|do|de|a partir|pelo|con|com|via) .{1,60}|obtener outlook para .{1,40}|obter o outlook para .{1,40}`,
  `inviato (?:da|dal|dall'|con|tramite|via) ?.{1,60}|ottieni outlook per .{1,40}|scarica outlook per .{1,40}`,
  `(?:verzonden|verstuurd|gestuurd) (?:vanaf|vanuit|van|met|via|door) .{1,60}|outlook voor .{1,20} (?:downloaden|ophalen)|download outlook voor .{1,20}`,
  `sendt (?:fra|med|via) .{1,60}|skickat från .{1,60}|(?:skickat )?från min .{1,40}|hämta outlook för .{1,20}|hent outlook (?:for|til) .{1,20}`,
  `lähetetty .{1,60}|hanki outlook .{1,20}`,
  `wysłan[eoy] z .{1,60}|pobierz (?:aplikację )?outlook .{1,30}|odesláno z .{1,60}|odoslané z .{1,60}|poslano (?:z|s|iz|sa) .{1,60}`,
  `trimis (?:de pe|de la|din|cu) .{1,60}|küldve .{1,60}|elküldve .{1,60}|.{1,40} (?:készülékemről|telefonomról) küldve`,
  `отправлено (?:с|из|от|через) .{1,60}|надіслано (?:з|із|від) .{1,60}|изпратено от .{1,60}|с уважением, .{0,20}mail\\.ru`,
  `στάλθηκε από .{1,60}|.{1,40}'?(?:ımdan|imden|umdan|undan|dan|den) gönderildi|.{1,40} tarafımdan gönderildi`,
  `נשלח מה.{1,60}|أرسل(?:ت)? من .{1,60}|مرسل من .{1,60}`,
  `发自我的.{1,40}|發自我的.{1,40}|從我的 ?.{1,40}傳送|从我的 ?.{1,40}发送|来自我的.{1,40}|.{1,40}から送信|나의 .{1,40}에서 보냄|.{1,40}에서 보냄`,
  `được gửi từ .{1,60}|gửi từ .{1,60}|dikirim dari .{1,60}`,
  `from my .{1,25}|.{1,20} from mobile`,
].join('|')
const sentFrom = new RegExp(`^[\\s(<\\[*_"'«>-]{0,6}(?:${SENT_FROM})[\\s)>\\].*_!"'»-]{0,6}$`, 'iu')
const device = new RegExp(DEVICE, 'iu')
const APP_LINE =
  /^[\s*_]{0,4}(?:get outlook for|télécharge[rz] outlook|sent with (?:\[?proton ?mail|airmail|mailspring|shift|spark|superhuman|mailtrack)|sent from (?:my|yahoo|mail|outlook|the all new aol|samsung|proton)|envoyé de(?:puis| mon)|enviado (?:desde|do) m|inviato da(?:l mio| i|l)|von meinem|发自我的|從我的)/iu

/** Whether a line is what a phone or a program signs with ("Sent from my iPhone"), in the languages those programs come in. */
export function isDeviceSignature(line: string): boolean {
  if (line.length > 160) return false
  const plain = line
    .replace(/\[([^[\]]{0,80})\]\([^()]{0,200}\)/g, '$1')
    .replace(/<https?:[^<>\s]{0,120}>/g, '')
    .trim()
  if (plain.length < 6 || plain.length > 110 || !sentFrom.test(plain)) return false
  return APP_LINE.test(plain) || device.test(plain)
}

/** "-- " (RFC 3676 §4.3); programs that trim line ends leave "--". */
export function isSignatureDash(line: string): boolean {
  return /^\s{0,3}--[\s\u00a0]{0,3}$/.test(line)
}

/** A line of rules only: "____", "=====", "—". */
export function isRule(line: string): boolean {
  return line.length <= 200 && /^[\s\u00a0]*[-–—‐_=+~#*ᐧ][-–—‐_=+~#*ᐧ\s\u00a0]*$/u.test(line)
}

const CLOSING = new RegExp(
  `^\\s{0,3}(?:(?:\\p{L}{1,20}[\\s,]{1,2}){0,3}(?:regards|wishes)|cheers|thank you|sincerely(?: yours)?|yours (?:sincerely|truly|faithfully)|` +
    `(?:\\p{L}{1,20}\\s){0,2}cordialement|bien à (?:vous|toi)|salutations(?: distinguées)?|bonne (?:journée|soirée|fin de journée)|` +
    `mit (?:freundlichen|besten|herzlichen|lieben) grüßen|(?:freundliche|beste|viele|liebe|herzliche|schöne) grü(?:ß|ss)e|mfg|lg|vg|` +
    `(?:un )?(?:cordial )?saludos?(?: cordial(?:es)?)?|atentamente|atenciosamente|att\\.?|cumprimentos|cordiali saluti|distinti saluti|` +
    `met vriendelijke groet(?:en)?|vriendelijke groet(?:en)?|groeten|mvg|med vänlig(?:a)? hälsning(?:ar)?|med (?:vennlig|venlig) hilsen|mvh|` +
    `ystävällisin terveisin|terveisin|z poważaniem|pozdrawiam|s pozdravem|с уважением|з повагою|üdvözlettel|cu stimă|saygılarımla)[\\s,.!]{0,3}$`,
  'iu',
)

/** Whether a line is a closing that stands alone ("Best regards,"). */
export function isClosing(line: string): boolean {
  return line.length <= 60 && CLOSING.test(line)
}

const CONTACT =
  /@|https?:|www\.|\b(?:tel|phone|fax|mobile?|cell|gsm|tél|telefon|skype|linkedin)\b|\+?\d[\d\s().-]{7,}\d|\b(?:gmbh|inc|ltd|llc|s\.?a\.?r\.?l|b\.v|ceo|cto|cfo|manager|director|engineer|sales|support)\b/iu
const BOILERPLATE =
  /confidential|privileged|intended (?:only|solely|recipient)|vertraulich|confidentiel|confidencial|riservat|vertrouwelijk|poufn|конфиденциал|disclaimer|unsubscribe|mailing list|you (?:are receiv|receiv)ed? this|reply to this e?-?mail|view it on|abmelden|désabonner|virus|scanned by|think before you print|consider the environment/iu

/** Whether lines under a rule look like a signature or a disclaimer, not like what a person goes on to say. */
export function looksLikeSignature(block: readonly string[]): boolean {
  const filled = block.filter((line) => line.trim() !== '' && !isRule(line))
  if (filled.length === 0) return true
  if (filled.some((line) => BOILERPLATE.test(line.slice(0, 300)))) return true
  if (filled.length > 12 || filled.some((line) => line.length > 120)) return false
  const contacts = filled.filter((line) => CONTACT.test(line)).length
  const prose = filled.filter((line) => line.trim().length > 60 || /[.!?]\s*$/.test(line)).length
  return prose === 0 || (contacts > 0 && prose <= contacts)
}

const FOOTER =
  /^\s{0,3}(?:you (?:are receiving|received) this (?:message|e-?mail|because|notification)|to unsubscribe (?:from|click|send|and stop)|reply to this e-?mail directly|this e-?mail has been (?:checked|scanned)|virus-free\.|please consider the environment|(?:this|the information (?:contained )?in this) (?:e-?mail|message|communication)(?: \(?(?:and|including) any attachments?.{0,30}\)?)?.{0,60} (?:confidential|privileged|intended)|diese e-?mail (?:enthält|kann) vertrauliche|ce (?:message|courriel|mail).{0,60}confidentiel|este (?:mensaje|correo|mensagem).{0,80}confidencia|le informazioni contenute in quest|dit bericht.{0,60}vertrouwelijk|confidentiality notice|disclaimer\s*:)/iu

/** Whether a line begins a disclaimer or a list's footer. */
export function isFooter(line: string): boolean {
  return FOOTER.test(line.slice(0, 300))
}

/** "-Abhishek", "– Ann Lee": a name behind a dash. */
export function isDashedName(line: string): boolean {
  return /^\s{0,3}(?:[-–—]|-- ?)[\p{Lu}\p{Lt}\p{Lo}][\p{L}.'’-]{0,20}(?:[ \t][\p{L}.'’-]{1,20}){0,2}\s*$/u.test(
    line.slice(0, 120),
  )
}

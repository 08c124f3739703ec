// Header blocks and separator lines above quoted or forwarded text, as Outlook, Apple Mail, Gmail, Samsung, QQ, Orange … write them.
// The labels are those of the programs' own translations; a block counts only by the combination of its labels.

type HeaderKind = 'from' | 'date' | 'to' | 'cc' | 'subject' | 'other'

const LABELS: Record<HeaderKind, string> = {
  from: 'from|de|von|van|da|fra|från|od|from address|expéditeur|remitente|remetente|mittente|afsender|avsändare|lähettäjä|feladó|gönderen|kimden|от|від|от кого|von:|από|מאת|من|发件人|寄件者|寄件人|差出人|送信者|보낸사람|보낸 사람|từ|dari|nadawca|odesílatel|odosielateľ|expeditor|pošiljatelj|saatja|nuo|no|frá',
  date: 'sent|date|sent at|date sent|envoyé|envoyé le|date d.envoi|le|gesendet|gesendet am|datum|verzonden|verzonden op|verstuurd|enviado|enviado el|enviado em|enviada em|enviada|fecha|fecha de envío|data|data invio|inviato|inviato il|sendt|dato|skickat|skickat:|lähetetty|päiväys|päivämäärä|wysłano|wysłane|data wysłania|odesláno|odoslané|dátum|küldve|elküldve|trimis|отправлено|дата|надіслано|надіслане|gönderildi|gönderme tarihi|tarih|изпратено|ημερομηνία|στάλθηκε|αποστολή|נשלח|תאריך|تاريخ الإرسال|التاريخ|أرسلت|发送时间|发送日期|日期|寄件日期|傳送日期|送信日時|日付|日時|보낸 날짜|보낸날짜|날짜|gửi|đã gửi|ngày|dikirim|tanggal|poslano|saadetud|kuupäev',
  to: 'to|à|a|an|aan|til|till|para|per|do|komu|vastaanottaja|destinataire|destinatario|destinatário|destinatari|empfänger|címzett|kime|alıcı|кому|до|προς|אל|إلى|收件人|收件者|宛先|받는사람|받는 사람|đến|tới|kepada|către|prejemnik|saaja|mottagare|modtager|pro',
  cc: 'cc|bcc|kopie|copie|copie à|copia|kopia|kopi|kopio|cópia|másolat|bilgi|копия|копія|抄送|副本|參照|참조|cc address|répondre à|reply-to|antwort an|beantwoorden - aan|risposta|rispondi a|odpovedet|másolatot kap|κοιν',
  subject:
    'subject|objet|sujet|betreff|onderwerp|asunto|assunto|oggetto|emne|ämne|aihe|temat|předmět|predmet|tárgy|subiect|konu|тема|относно|θέμα|נושא|الموضوع|موضوع|主题|主旨|件名|제목|tiêu đề|chủ đề|perihal|subjek|tema|teema|zadeva|titill|efni|re',
  other:
    'importance|priority|attachments|pièces jointes|anlagen|bijlage|bijlagen|wichtigkeit|sensitivity|list|newsgroups|organization|company|mailed-by|signed-by|message-id|message|antwortadresse|importancia|adjuntos|вложения',
}

const KIND_OF = new Map<string, HeaderKind>()
for (const kind of ['other', 'cc', 'to', 'subject', 'date', 'from'] as const) {
  for (const label of LABELS[kind].split('|')) KIND_OF.set(label, kind)
}
// Labels that two languages use for different fields: what the neighbours are decides, see measureHeaderBlock.
const LABEL_LINE =
  /^[\s>|*_]{0,12}([^\s:：*>|][^:：*>|]{0,28}?)[\s\u00a0]{0,3}\*{0,2}[\s]{0,2}[:：]\*{0,2}[\s\u00a0\u200e\u200f]{0,20}(.{0,300})/u

/** The kind of header that a line is, or null. */
function readHeaderKind(line: string): HeaderKind | null {
  const match = LABEL_LINE.exec(line.slice(0, 400))
  if (!match) return null
  return KIND_OF.get((match[1] ?? '').toLowerCase().trim()) ?? null
}

function readValue(line: string): string {
  return LABEL_LINE.exec(line.slice(0, 400))?.[2] ?? ''
}

/**
 * How many lines, from `at`, a header block takes; 0 when there is none. Three different kinds make a block (Outlook writes From, Sent,
 * To, Subject), or two when the sender stands with its address: a person writing "To: …" in a letter is not enough.
 */
export function measureHeaderBlock(lines: readonly string[], at: number, introduced = false): number {
  const first = readHeaderKind(lines[at] ?? '')
  if (first === null || first === 'other') return 0
  const kinds = new Set<HeaderKind>()
  let address = false
  let last = at
  let gap = 0
  for (let i = at; i < lines.length && i < at + 24; i++) {
    const line = lines[i] ?? ''
    const kind = readHeaderKind(line)
    if (kind !== null) {
      kinds.add(kind)
      // "Von:" with "An:" or "De :" with "À :" may share a word; the sender's address is the surest sign.
      if (
        (kind === 'from' || i === at) &&
        /@|\[mailto:|<[^>]+>/.test(readValue(line) + (lines[i + 1] ?? '').slice(0, 200))
      )
        address = true
      last = i
      gap = 0
    } else if (line.trim() === '') {
      if (++gap > 1) break
    } else {
      // A long list of recipients wraps; text after an empty line ends the block.
      if (gap > 0 || i - last > 3) break
    }
  }
  const strong = ['from', 'date', 'to', 'subject'].filter((kind) => kinds.has(kind as HeaderKind)).length
  const enough =
    strong >= 3 ||
    (strong >= 2 && (introduced || (address && kinds.has('from') && (kinds.has('date') || kinds.has('to')))))
  return enough ? last - at + 1 : 0
}

const REPLIED =
  'original message|original appointment|original email|original mail|reply message|replied message|message d.origine|message original|mail original|courriel original|ursprüngliche nachricht|originalnachricht|original-nachricht|antwort nachricht|mensaje original|mensaje de origen|correo original|messaggio originale|messaggio di origine|mensagem original|oorspronkelijk bericht|origineel bericht|originalmeddelande|ursprungligt meddelande|original meddelelse|opprinnelig melding|oprindelig meddelelse|original besked|alkuperäinen viesti|wiadomość oryginalna|oryginalna wiadomość|původní zpráva|originální zpráva|pôvodná správa|eredeti üzenet|mesaj original|mesajul original|исходное сообщение|исходное письмо|первоначальное сообщение|початкове повідомлення|оригінальне повідомлення|оригинално съобщение|αρχικό μήνυμα|özgün ileti|orijinal mesaj|izvorna poruka|originalna poruka|izvirno sporočilo|הודעה מקורית|الرسالة الأصلية|رسالة أصلية|原始邮件|原始郵件|原始信件|原邮件|元のメッセージ|원본 메시지|원본 메일|thư gốc|tin nhắn gốc|pesan asli|mensagem de origem'
const FORWARDED =
  'forwarded message|forwarded mail|forwarded by|begin forwarded message|message transféré|début du message transféré|message réexpédié|début du message réexpédié|weitergeleitete nachricht|anfang der weitergeleiteten nachricht|mensaje reenviado|inicio del mensaje reenviado|messaggio inoltrato|inizio messaggio inoltrato|inizio del messaggio inoltrato|mensagem encaminhada|mensagem reencaminhada|início da mensagem encaminhada|início da mensagem reencaminhada|doorgestuurd bericht|begin doorgestuurd bericht|vidarebefordrat meddelande|vidarebefordrat brev|videresendt melding|videresendt meddelelse|videresendt besked|start på videresendt meddelelse|välitetty viesti|edelleenlähetetty viesti|wiadomość przekazana|przekazana wiadomość|přeposlaná zpráva|preposlaná správa|továbbított üzenet|mesaj redirecționat|mesaj retransmis|пересылаемое сообщение|пересланное сообщение|переслане повідомлення|начало переадресованного сообщения|препратено съобщение|προωθημένο μήνυμα|iletilmiş mesaj|iletilen ileti|proslijeđena poruka|posredovano sporočilo|הודעה שהועברה|رسالة معاد توجيهها|转发的邮件|转发邮件|轉寄郵件|轉寄的郵件|転送されたメッセージ|転送メッセージ|전달된 메시지|thư đã chuyển tiếp|pesan terusan|pesan yang diteruskan'
const DASH = '[-–—‐‑=_*~+\\s\\u00a0]'
const RULE = '[-–—‐‑=_*~+]' + `${DASH}{0,60}`
const replied = new RegExp(
  `^[\\s>]{0,8}(?:${RULE}(?:${REPLIED})[:：]?${DASH}{0,60}|(?:${REPLIED})\\s?[:：])\\s*$`,
  'iu',
)
const forwarded = new RegExp(
  `^[\\s>]{0,8}(?:${RULE}(?:${FORWARDED})[:：]?(?:${DASH}{0,60}|\\s.{0,80})|(?:${FORWARDED})\\s?[:：])\\s*$`,
  'iu',
)
/** Orange and La Poste: "Message du 12/12/2016 13:20". */
const MESSAGE_OF =
  /^[\s>]{0,8}-{0,10}\s?(?:message du|messaggio del|nachricht vom|mensaje del)\s?:?\s?\d{1,2}[./-]\d{1,2}[./-]\d{2,4}/iu

/** GroupWise: ">>> Ann Lee <ann@example.com> 03/04/25 9:12 AM >>>". */
const GROUPWISE = /^>>> ?[^>].{3,150} ?>>>\s*$/
/** Such a line begins like a quote, but is not one. */
export function isGroupWise(line: string): boolean {
  return line.startsWith('>>>') && line.length <= 200 && GROUPWISE.test(line)
}

/** Help desks ("##- Please type your reply above this line -##") and Gmail's "[Quoted text hidden]". */
const ABOVE_LINE =
  /(?:reply|respond|response|answer|type|write).{0,30} above (?:this|the) line|oberhalb dieser zeile|au-dessus de cette ligne|(?:por encima|encima|arriba) de esta línea|acima desta linha|sopra questa riga|boven deze (?:lijn|regel)|^\s*\[(?:quoted text hidden|zitierter text wurde ausgeblendet|texte des messages précédents masqué|el texto citado está oculto)\]\s*$/iu

/** Whether a line separates what was written from an older message, and of which sort. */
export function readSeparator(line: string): 'replied' | 'forwarded' | null {
  if (line.length > 200) return null
  const plain = line.replaceAll('&nbsp;', ' ')
  if (replied.test(plain) || MESSAGE_OF.test(plain) || GROUPWISE.test(plain) || ABOVE_LINE.test(plain))
    return 'replied'
  if (forwarded.test(plain)) return 'forwarded'
  return null
}

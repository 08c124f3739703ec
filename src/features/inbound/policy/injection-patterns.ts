// Phrases of prompt injections. Each pattern has at most two bounded gaps and nothing unbounded, so that a hostile text costs linear time. They are tried on
// lower-case, normalized text. A hit only means that a person answers, so the phrases may be broad, but not so broad that ordinary
// inquiries ("please send all details to …") stop the automation.

const all = (...parts: string[]): RegExp => new RegExp(parts.join('|'), 'u')
const gap = (max: number): string => `[^\\n]{0,${max}}?`

const INSTRUCTIONS =
  '(?:instruction|prompt|rule|direction|guideline|command|directive|constraint|restriction|safety|training|programming)'

export const PATTERNS: readonly (readonly [reason: string, pattern: RegExp])[] = [
  [
    'override_instructions',
    all(
      `\\b(?:ignore|disregard|forget|override|bypass|neglect|do not (?:follow|obey)|don.t (?:follow|obey)|stop following|overrule|discard)\\b (?:all |any |everything |of |the |your |my |these |those |previous |prior |above |earlier |preceding |existing |original |system |safety |other |said |told |written |initial |current |you |were |was |given |and |or |in ){1,8}${INSTRUCTIONS}`,
      `\\b(?:ignore|disregard|forget) (?:all |everything |anything )(?:above|before|previous|prior|you (?:were|have been|know)|that (?:was|came))`,
      `\\b(?:new|updated|real|actual|revised) (?:system )?(?:instructions?|prompt|directives?)(?: for (?:you|the (?:ai|assistant|model)))? ?(?::|are\\b|follow\\b|begin)`,
      `(?:ignorier\\p{L}{0,20}|vergiss|vergessen sie|missachte\\p{L}{0,20}|befolge\\p{L}{0,20} nicht)${gap(50)}(?:anweisung|instruktion|vorgabe|befehl|richtlinie|prompt)`,
      `(?:ignore[rz]?|oublie[rz]?|ne (?:tiens|tenez) pas compte|fais abstraction)${gap(20)}\\b(?:les|vos|tes|ces|tes|des|toutes|aux)\\b${gap(25)}(?:instructions|consignes|directives|règles précédentes|prompt)`,
      `(?:ignor[ae]|olvid[ae]|omit[ae]|descart[ae]|haz caso omiso)${gap(40)}(?:instrucciones|órdenes|ordenes|indicaciones anteriores|prompt)`,
      `(?:ignor[ai]|dimentic[ah]\\p{L}{0,20}|non seguire)${gap(40)}(?:istruzioni|direttive|prompt)`,
      `(?:ignor[ea]|esque[çc]a|desconsidere)${gap(40)}(?:instruções|instrucoes|ordens|prompt)`,
      `(?:negeer|vergeet)${gap(40)}(?:instructies|opdrachten|richtlijnen|prompt)`,
      `(?:zignoruj|ignoruj|zapomnij|pomiń)${gap(40)}(?:instrukcj|polece|pokyn|prompt)`,
      `(?:ignorer\\p{L}{0,20}|glöm|glem|unohda|ohita|jätä huomiotta)${gap(40)}(?:instruktion|anvisning|instruks|ohje)`,
      `(?:игнорир\\p{L}{0,20}|проигнорир\\p{L}{0,20}|забудь\\p{L}{0,20}|не обращай)${gap(40)}(?:инструкци|указани|правил|команд|промпт)`,
      `(?:ігнор\\p{L}{0,20}|забудь\\p{L}{0,20})${gap(40)}(?:інструкці|вказівк)`,
      `(?:talimat|komut|yönerge)\\p{L}{0,20}${gap(30)}(?:yok ?say|görmezden gel|unut|dikkate alma)`,
      `(?:忽略|无视|無視|忘记|忘記|不要遵守)[^\\n]{0,20}?(?:指令|指示|说明|說明|规则|規則|提示)`,
      `(?:指示|命令|ルール|プロンプト)[^\\n]{0,15}?(?:無視|忘れ|従わない)`,
      `(?:지시|명령|규칙|프롬프트|지침)[^\\n]{0,20}?(?:무시|잊)`,
      `تجاهل${gap(40)}(?:التعليمات|الأوامر|تعليمات)|התעלם${gap(30)}(?:הוראות|הנחיות)`,
      `(?:निर्देश|आदेश)\\p{L}{0,20}${gap(30)}(?:अनदेखा|नज़रअंदाज़|भूल)|(?:bỏ qua|phớt lờ|quên)${gap(40)}(?:hướng dẫn|chỉ thị|chỉ dẫn)|abaikan${gap(40)}(?:instruksi|perintah)`,
    ),
  ],
  [
    'asks_for_prompt',
    all(
      `\\bsystem[ -]?(?:prompt|message|instruction)s?\\b`,
      `\\b(?:reveal|show|print|repeat|output|display|disclose|leak|tell me|what (?:is|are))\\b[^\\n]{0,30}?\\b(?:your|the|initial|hidden|secret|original) (?:prompt|instructions|guidelines|rules you)`,
      `(?:systemprompt|system-anweisung|invite système|prompt (?:del|de) sistema|prompt di sistema|prompt do sistema|системн\\p{L}{0,20} промпт|系统提示|系統提示|システムプロンプト|시스템 프롬프트)`,
    ),
  ],
  [
    'role_marker',
    all(
      `<\\|[a-z_]{2,20}\\|>|\\[/?inst\\]|<</?sys>>|<start_of_turn>|<end_of_turn>|\\[/?(?:system|assistant)\\]`,
      `#{2,6} ?(?:system|instructions?|assistant|human|user|response)\\b ?:?`,
      `</? ?(?:system|assistant|instructions?|prompt|user_input|untrusted\\w{0,20}|user_message|email_body|lead_message|tool_call|function_call|context)(?: [^<>]{0,60})?>`,
      `"?role"? ?: ?"(?:system|assistant|developer|tool)"`,
      `(?:^|[.!?"] ?|- )(?:system|assistant|developer) ?: ?(?:you |ignore|respond|reply|always|never|do not|must|from now|new |forward|send|sure|of course)`,
      `(?<![-=*])[-=*]{3,} ?(?:end|begin|start) (?:of )?(?:the )?(?:system|prompt|instructions?|user (?:input|message|data)|untrusted|e-?mail(?: body)?|customer message)`,
    ),
  ],
  [
    'addresses_the_model',
    all(
      `\\byou are (?:now )?(?:an? )?(?:ai|artificial intelligence|large language|language|helpful|unrestricted|unfiltered) (?:model|assistant|agent|bot|chatbot|system)\\b`,
      `\\byou are now (?:in )?(?:dan\\b|developer mode|jailbroken|unrestricted|free from)`,
      `\\b(?:developer|god|debug|admin|maintenance|jailbreak) mode (?:is )?(?:on|enabled|activated|now)|\\bdo anything now\\b|\\bjailbreak`,
      `\\b(?:if|since|because|when|as) you.?(?: a|’?')re an? (?:ai|llm|language model|assistant|bot|automated)`,
      `\\b(?:note|message|instructions?|attention|notice|important|memo)[ :,]{1,3}(?:to |for )?(?:the |any |all )?(?:ai|llm|ai assistants?|assistant|chatbot|language models?|gpt|chatgpt|claude|gemini|automated (?:system|agent))s?\\b(?! (?:team|department|company|group|project|solution|conference|act|strategy))`,
      `\\b(?:dear|hey|hello|hi) (?:ai|llm|ai assistant|chatbot|language model|chatgpt|claude ai|gemini ai)\\b(?! (?:team|department|company|group|solution))`,
      `\\b(?:pretend|act|behave|respond) (?:to be|as if|as though|as) (?:you (?:are|were|have)|an? (?:ai|unrestricted|unfiltered|administrator|different))`,
      `\\bfrom now on,? (?:you|always|respond|reply|act)`,
      `\\b(?:du bist|sie sind) (?:jetzt |nun )?ein[e]? (?:ki|ai|sprachmodell|assistent)|\\btu es (?:maintenant )?(?:une ia|un assistant)|\\beres (?:ahora )?(?:una ia|un asistente)|\\bsei (?:ora )?(?:un.ia|un assistente)|\\bты (?:теперь )?(?:ии|ассистент|языковая модель)|你(?:现在)?是(?:一个)?(?:ai|人工智能|助手)|あなたは(?:ai|アシスタント)`,
    ),
  ],
  [
    'asks_for_data',
    all(
      `\\b(?:send|forward|e-?mail|give|share|export|list|show|provide|dump|leak|transfer|upload|post|reveal|copy)\\b (?:me |us |over |out |to me |back )?(?:a (?:full |complete )?(?:list|copy|dump) of )?(?:all |every |the |your |other |any |entire |full |complete |of |stored |customer.?s? |client.?s? ){1,5}(?:leads?\\b|customer (?:data|list|records|e-?mails?)|client (?:data|list|records|e-?mails?)|contacts? (?:list|data|book)|contacts\\b|inbox|mailbox|database|passwords?|credentials|api[ -]?keys?|access tokens?|secrets\\b|conversations\\b|internal (?:data|notes|documents)|confidential)`,
      `\\b(?:forward|redirect|bcc|blind copy|exfiltrate|auto-?forward)\\b (?:me |us )?(?:the |your )?(?:all |every |any |entire |future |incoming |other )(?:of |the |your |my |this |future |incoming |new |other |their ){0,4}(?:e-?mails?|mails?|messages?|correspondence|conversations?|threads?|inbox|mailbox)\\b[^\\n]{0,40}?(?:\\bto\\b|@)`,
      `\\b(?:api[ -]?keys?|passwords?|credentials|access tokens?)\\b[^\\n]{0,40}?\\b(?:to (?:this|the following|my) (?:address|url|server|e-?mail)|https?:)`,
      `(?:leite|sende|schicke?|übermittle|weiterleiten|zeige?)\\b${gap(30)}\\b(?:alle|sämtliche|die gesamte)\\b[^\\n]{0,25}?(?:e-?mails|kundendaten|kundenliste|leads|kontakte|kontaktdaten|nachrichten|passwör|zugangsdaten|datenbank)`,
      `(?:transf[ée]re[rz]?|envoie[rz]?|envoyez|transmet\\p{L}{0,20})${gap(30)}(?:tous les|toutes les|la liste (?:de )?(?:tous|des clients))[^\\n]{0,25}?(?:e-?mails|messages|courriels|contacts|prospects|clients|mots de passe|identifiants)`,
      `(?:reenv[íi]\\p{L}{0,20}|env[íi]a\\p{L}{0,20}|manda\\p{L}{0,20})${gap(30)}(?:todos los|todas las|la lista de)[^\\n]{0,25}?(?:correos|mensajes|contactos|clientes|contraseñas|credenciales)`,
      `(?:inoltr\\p{L}{0,20}|invi\\p{L}{0,20}|encaminh\\p{L}{0,20}|envi[ea]\\p{L}{0,20})${gap(30)}(?:tutte le|tutti i|todos os|todas as)[^\\n]{0,25}?(?:e-?mail|messaggi|mensagens|contatti|contatos|clienti|clientes|password|senhas)`,
      `(?:перешли|отправь|пришли|вышли)\\p{L}{0,20}${gap(30)}(?:все|всю|список)[^\\n]{0,25}?(?:письма|контакты|клиент|парол|базу|переписк)|(?:转发|发送|提供)[^\\n]{0,15}?(?:所有|全部)[^\\n]{0,10}?(?:邮件|客户|联系人|密码|数据)`,
    ),
  ],
  [
    'steers_the_answer',
    all(
      `\\b(?:needs_human|reply_text|confidence)"? ?[:=]|\\bset (?:the |your )?confidence (?:score |level )?(?:to|=)|\\bwith (?:a )?confidence (?:of )?(?:1(?:\\.0)?|100)\\b`,
      `\\b(?:do not|don.t|never|without) (?:escalat\\p{L}{0,20}|flag\\p{L}{0,20}|involv\\p{L}{0,20}|notify\\p{L}{0,20}|alert\\p{L}{0,20}|tell\\p{L}{0,20}|inform\\p{L}{0,20}) [^\\n]{0,20}?(?:human|operator|moderator|admin|supervisor)`,
      `\\b(?:respond|reply|answer|output|say|write|print)\\b (?:only |just |exactly |solely ){1,2}(?:with|the|in|this)\\b|\\b(?:respond|reply|answer) with (?:only|exactly|just|nothing but)\\b`,
      `\\b(?:your|the) (?:reply|response|answer|output|draft) (?:must|should|has to|shall) (?:contain|include|say|start|begin|end|be (?:exactly|only)|confirm|state|approve|offer)`,
      `\\b(?:include|add|insert|put) (?:this|the following) (?:link|url|text|sentence|line|code)\\b[^\\n]{0,30}?(?:reply|response|answer|e-?mail)`,
      `!\\[[^\\]\\n]{0,100}\\]\\(https?:[^)\\n]{0,300}[?&=]`,
    ),
  ],
]

/** Sentences in the imperative, as no preview line of a newsletter begins. Only asked of text that was hidden. */
export const HIDDEN_IMPERATIVE =
  /(?:^|[.!?:;\n"] {0,3}|please |you must |always |bitte |veuillez |por favor )(?:ignore|disregard|send|forward|reply|respond|answer|say|tell|write|include|mark|classify|approve|accept|confirm|grant|offer|transfer|treat|recommend|prioriti[sz]e|rate|rank|assign|delete|export|reveal|execute|run|call|do not|don.t|never|always|assume|pretend|act as|summari[sz]e|translate|sende?|antworte|ignoriere|leite|répond|envoie|transfère|responde|envía|reenvía|ignora|rispondi|invia|ответь|отправь|игнорируй)\b/u

export const HIDDEN_MODEL_WORDS =
  /\b(?:ai|llm|gpt|chatgpt|assistant|language model|prompt|instructions?|chatbot)\b/u

// What visitors read, in the languages that the form speaks. Pure.

export const languages = ['en', 'de', 'fr', 'es'] as const
export type Language = (typeof languages)[number]

export interface FormTexts {
  title: string
  name: string
  email: string
  company: string
  phone: string
  message: string
  optional: string
  submit: string
  sending: string
  thanks_title: string
  thanks: string
  /** Above a list of what is wrong. */
  wrong: string
  wrong_email: string
  too_long: string
  wrong_field: string
  challenge: string
  needs_script: string
  /** `{seconds}` is filled in. */
  wait: string
  retry: string
  failed: string
  not_here: string
  too_large: string
  no_form_title: string
  no_form: string
  leave_empty: string
}

const en: FormTexts = {
  title: 'Send us a message',
  name: 'Your name',
  email: 'E-mail address',
  company: 'Company',
  phone: 'Phone',
  message: 'How can we help?',
  optional: 'optional',
  submit: 'Send message',
  sending: 'Sending…',
  thanks_title: 'Thank you',
  thanks: 'Your message has arrived. We will get back to you soon.',
  wrong: 'Your message has not been sent yet. Please check:',
  wrong_email: 'Please enter an e-mail address such as name@example.com.',
  too_long: 'This is too long.',
  wrong_field: 'Please check this field.',
  challenge: 'Please confirm once more that you are a person, and send again.',
  needs_script: 'Please switch on JavaScript: the check that you are a person needs it.',
  wait: 'Too many messages came from your network. Please wait {seconds} seconds and send again.',
  retry: 'Your message could not be stored just now. Please send it again in a moment.',
  failed: 'Your message could not be sent.',
  not_here: 'This page may not send messages through this form.',
  too_large: 'Your message is too large. Please shorten it and leave out attachments.',
  no_form_title: 'There is no such form',
  no_form: 'The address may be mistyped, or the form has moved.',
  leave_empty: 'Please leave this field empty',
}

const de: FormTexts = {
  title: 'Schreiben Sie uns',
  name: 'Ihr Name',
  email: 'E-Mail-Adresse',
  company: 'Unternehmen',
  phone: 'Telefon',
  message: 'Wie können wir helfen?',
  optional: 'freiwillig',
  submit: 'Nachricht senden',
  sending: 'Wird gesendet …',
  thanks_title: 'Vielen Dank',
  thanks: 'Ihre Nachricht ist angekommen. Wir melden uns bald bei Ihnen.',
  wrong: 'Ihre Nachricht ist noch nicht gesendet. Bitte prüfen Sie:',
  wrong_email: 'Bitte geben Sie eine E-Mail-Adresse wie name@example.com ein.',
  too_long: 'Das ist zu lang.',
  wrong_field: 'Bitte prüfen Sie dieses Feld.',
  challenge: 'Bitte bestätigen Sie noch einmal, dass Sie ein Mensch sind, und senden Sie erneut.',
  needs_script: 'Bitte schalten Sie JavaScript ein: Die Prüfung, ob Sie ein Mensch sind, braucht es.',
  wait: 'Aus Ihrem Netz kamen zu viele Nachrichten. Bitte warten Sie {seconds} Sekunden und senden Sie erneut.',
  retry: 'Ihre Nachricht konnte gerade nicht gespeichert werden. Bitte senden Sie sie gleich noch einmal.',
  failed: 'Ihre Nachricht konnte nicht gesendet werden.',
  not_here: 'Diese Seite darf über dieses Formular keine Nachrichten senden.',
  too_large: 'Ihre Nachricht ist zu groß. Bitte kürzen Sie sie und lassen Sie Anhänge weg.',
  no_form_title: 'Dieses Formular gibt es nicht',
  no_form: 'Vielleicht ist die Adresse vertippt, oder das Formular ist umgezogen.',
  leave_empty: 'Bitte lassen Sie dieses Feld leer',
}

const fr: FormTexts = {
  title: 'Écrivez-nous',
  name: 'Votre nom',
  email: 'Adresse e-mail',
  company: 'Entreprise',
  phone: 'Téléphone',
  message: 'Comment pouvons-nous vous aider ?',
  optional: 'facultatif',
  submit: 'Envoyer le message',
  sending: 'Envoi en cours…',
  thanks_title: 'Merci',
  thanks: 'Votre message est bien arrivé. Nous vous répondrons bientôt.',
  wrong: 'Votre message n’a pas encore été envoyé. Veuillez vérifier :',
  wrong_email: 'Veuillez saisir une adresse e-mail telle que nom@example.com.',
  too_long: 'C’est trop long.',
  wrong_field: 'Veuillez vérifier ce champ.',
  challenge: 'Veuillez confirmer encore une fois que vous êtes une personne, puis renvoyer.',
  needs_script: 'Veuillez activer JavaScript : la vérification que vous êtes une personne en a besoin.',
  wait: 'Trop de messages sont venus de votre réseau. Veuillez patienter {seconds} secondes, puis renvoyer.',
  retry: 'Votre message n’a pas pu être enregistré. Veuillez le renvoyer dans un instant.',
  failed: 'Votre message n’a pas pu être envoyé.',
  not_here: 'Cette page ne peut pas envoyer de messages par ce formulaire.',
  too_large: 'Votre message est trop volumineux. Veuillez le raccourcir et retirer les pièces jointes.',
  no_form_title: 'Ce formulaire n’existe pas',
  no_form: 'L’adresse est peut-être mal saisie, ou le formulaire a été déplacé.',
  leave_empty: 'Veuillez laisser ce champ vide',
}

const es: FormTexts = {
  title: 'Escríbanos',
  name: 'Su nombre',
  email: 'Correo electrónico',
  company: 'Empresa',
  phone: 'Teléfono',
  message: '¿En qué podemos ayudarle?',
  optional: 'opcional',
  submit: 'Enviar mensaje',
  sending: 'Enviando…',
  thanks_title: 'Gracias',
  thanks: 'Su mensaje ha llegado. Le responderemos pronto.',
  wrong: 'Su mensaje aún no se ha enviado. Por favor, revise:',
  wrong_email: 'Introduzca una dirección de correo como nombre@example.com.',
  too_long: 'Es demasiado largo.',
  wrong_field: 'Revise este campo.',
  challenge: 'Confirme otra vez que es una persona y vuelva a enviar.',
  needs_script: 'Active JavaScript: la comprobación de que es una persona lo necesita.',
  wait: 'Han llegado demasiados mensajes de su red. Espere {seconds} segundos y vuelva a enviar.',
  retry: 'Su mensaje no se pudo guardar ahora. Vuelva a enviarlo en un momento.',
  failed: 'Su mensaje no se pudo enviar.',
  not_here: 'Esta página no puede enviar mensajes con este formulario.',
  too_large: 'Su mensaje es demasiado grande. Acórtelo y quite los archivos adjuntos.',
  no_form_title: 'Este formulario no existe',
  no_form: 'Puede que la dirección esté mal escrita o que el formulario se haya movido.',
  leave_empty: 'Deje este campo vacío',
}

const texts: Record<Language, FormTexts> = { en, de, fr, es }

export function textsIn(language: Language): FormTexts {
  return texts[language]
}

/** The wished one, else the first of `Accept-Language` that we speak, else English. */
export function pickLanguage(wished: string | undefined, accepted: string | undefined): Language {
  const asked = `${wished ?? ''},${accepted ?? ''}`.slice(0, 500).split(',')
  for (const part of asked) {
    const base = part.trim().slice(0, 2).toLowerCase()
    const known = languages.find((language) => language === base)
    if (known !== undefined && /^..(?:[-_;]|$)/.test(part.trim())) return known
  }
  return 'en'
}

/** The fields of a form that we draw; `autocomplete` lets the browser help. */
export const formFields = [
  { name: 'name', type: 'text', required: false, autocomplete: 'name', max: 200 },
  { name: 'email', type: 'email', required: true, autocomplete: 'email', max: 254 },
  { name: 'company', type: 'text', required: false, autocomplete: 'organization', max: 200 },
  { name: 'phone', type: 'tel', required: false, autocomplete: 'tel', max: 50 },
  { name: 'message', type: 'textarea', required: true, autocomplete: 'off', max: 20_000 },
] as const

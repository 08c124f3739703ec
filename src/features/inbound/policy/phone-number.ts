/** E.164, out of how people and gateways write numbers: "+44 (20) 7946-0000", "0044…", "whatsapp:+44…". */
export function readPhone(text: string, options: { bare_is_international: boolean }): string | null {
  const plain = text
    .trim()
    .replace(/^(?:whatsapp|tel|sms):/i, '')
    .replace(/[\s().\-/\u2010-\u2015\u00a0]/g, '')
    .replace(/^00/, '+')
  const number = options.bare_is_international && /^\d/.test(plain) ? `+${plain}` : plain
  return /^\+[1-9]\d{6,14}$/.test(number) ? number : null
}

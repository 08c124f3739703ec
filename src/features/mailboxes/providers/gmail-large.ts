// A mail that is too large to be fetched raw: Gmail's long form has every header and all text, but not the data of files. The
// MIME is written anew from it, so that the same parser reads it as any other.
import { fromBase64Url } from '#platform/crypto'
import type { MessagePart } from './gmail-answers'

const encoder = new TextEncoder()

export function writeMime(payload: MessagePart): Uint8Array {
  const chunks: Uint8Array[] = []
  writePart(payload, (text) => chunks.push(encoder.encode(text)), chunks)
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0))
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.byteLength
  }
  return whole
}

function writePart(part: MessagePart, write: (text: string) => void, chunks: Uint8Array[]): void {
  for (const { name, value } of part.headers) {
    // The data is decoded already.
    if (/^content-transfer-encoding$/i.test(name)) continue
    write(`${name}: ${value.replace(/[\r\n]+/g, ' ')}\r\n`)
  }
  const boundary = boundaryOf(part)
  if (boundary === null) {
    write('Content-Transfer-Encoding: binary\r\n\r\n')
    // An attached mail is an attachment: its parts are none of this mail's.
    if (part.data !== undefined) chunks.push(fromBase64Url(part.data))
    write('\r\n')
    return
  }
  write('\r\n')
  for (const inner of part.parts) {
    write(`--${boundary}\r\n`)
    writePart(inner, write, chunks)
  }
  write(`--${boundary}--\r\n`)
}

function boundaryOf({ mimeType, headers }: MessagePart): string | null {
  if (!/^multipart\//i.test(mimeType)) return null
  const type = headers.find(({ name }) => name.toLowerCase() === 'content-type')?.value ?? ''
  const [, quoted, plain] = /\bboundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))/i.exec(type) ?? []
  return quoted ?? plain ?? null
}

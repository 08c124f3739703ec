// When a form was drawn, in a hidden field that nobody else can write.
import type { Ctx } from '#platform/context'
import { readToken, signToken, timeAt, timeToBytes, type TokenKind } from '#platform/signed-token'

const kind: TokenKind = { purpose: 'form render time', alphabet: 'base64url', body_bytes: 8, mac_bytes: 12 }

export function makeRenderToken(ctx: Ctx): Promise<string> {
  return signToken(ctx.config, kind, timeToBytes(ctx.clock.now()))
}

/** `null` for what we did not make: then nothing is known, and nothing is held against anybody. */
export async function renderedAt(ctx: Ctx, token: string | undefined): Promise<Date | null> {
  const read = token === undefined ? null : await readToken(ctx.config, kind, token)
  return read?.proven ? timeAt(read.body, 0) : null
}

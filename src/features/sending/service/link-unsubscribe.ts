// The link that ends mail of one organization to one address. It names the send, and no address; it works for good.
import type { Ctx } from '#platform/context'
import { idAt, idsToBytes, readToken, signToken, type TokenKind } from '#platform/signed-token'

const KIND: TokenKind = { purpose: 'unsubscribe', alphabet: 'base64url', body_bytes: 32, mac_bytes: 16 }

type Settings = Pick<Ctx, 'config'>

export async function unsubscribeUrl(ctx: Settings, org_id: string, send_id: string): Promise<string> {
  return `${ctx.config.BASE_URL}/u/${await signToken(ctx.config, KIND, idsToBytes(org_id, send_id))}`
}

export interface UnsubscribeLink {
  org_id: string
  send_id: string
  /** Ours for certain; else the database has to know the send. */
  proven: boolean
}

/** `null`: no link of ours. */
export async function readUnsubscribeToken(ctx: Settings, token: string): Promise<UnsubscribeLink | null> {
  const read = await readToken(ctx.config, KIND, token)
  return read === null
    ? null
    : { org_id: idAt(read.body, 0), send_id: idAt(read.body, 16), proven: read.proven }
}

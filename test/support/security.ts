// The same questions to every route: who is let in, whose rows are shown, what a body may be.
import { describe, expect, it } from 'vitest'
import { signOperatorToken, signUserToken } from '#http/auth'
import { type Role, roles } from '#kernel/vocabulary'
import { createWorld, read, type TestOrganization, type World } from './world'

export interface SecuredRoute {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** A function makes a resource in that organization and answers its path: then strangers are tried on it too. */
  path: string | ((world: World, organization: TestOrganization) => string | Promise<string>)
  /** A body that the route takes; a route without one takes none. */
  body?: unknown
  /** Whose token opens it; default `user`. */
  who?: 'user' | 'operator'
  /** The roles that are let in; default all. */
  allowed?: readonly Role[]
  /** What the route takes at most; default 1 MB. */
  max_bytes?: number
}

export async function operatorToken(world: World): Promise<string> {
  return (await signOperatorToken(world.ctx(), 'operator')).access_token
}

const ANY_ID = '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11'

export function describeSecurity(route: SecuredRoute): void {
  const { method, body, who = 'user', allowed = roles, max_bytes = 1024 * 1024 } = route
  const shown = typeof route.path === 'string' ? route.path : 'a resource'
  const pathIn = async (world: World, organization: TestOrganization) =>
    typeof route.path === 'string' ? route.path : await route.path(world, organization)
  const tokenOf = async (world: World, organization: TestOrganization) =>
    who === 'operator' ? await operatorToken(world) : (await organization.as(allowed[0] ?? 'owner')).token
  const ask = (world: World, path: string, token?: string, given = body) =>
    world.request(method, path, {
      ...(token === undefined ? {} : { token }),
      ...(given === undefined ? {} : { body: given }),
    })

  describe(`security of ${method} ${shown}`, () => {
    it('answers 401 to whoever has no token, a broken one, an expired one or one for another door', async () => {
      const world = createWorld()
      const organization = await world.organization()
      const path = await pathIn(world, organization)
      const member = await organization.as(allowed[0] ?? 'owner')
      const { user_id: id, org_id, role, session_id } = member.actor
      const late = world.ctx({ clock: { now: () => new Date(Date.now() - 2 * 3600 * 1000) } })
      const expired =
        who === 'operator'
          ? (await signOperatorToken(late, 'operator')).access_token
          : await signUserToken(late, { id, org_id, role, session_id })
      const otherDoor = who === 'operator' ? member.token : await operatorToken(world)
      const [head = '', payload = ''] = (await tokenOf(world, organization)).split('.')
      for (const token of [undefined, 'nonsense', `${head}.${payload}.c2lnbmF0dXJl`, expired, otherDoor]) {
        const response = await ask(world, path, token)
        expect({ status: response.status, type: response.headers.get('Content-Type') }).toEqual({
          status: 401,
          type: 'application/problem+json',
        })
      }
    })

    if (who === 'user' && allowed.length < roles.length) {
      it.each(roles.filter((role) => !allowed.includes(role)))('answers 403 to the role %s', async (role) => {
        const world = createWorld()
        const organization = await world.organization()
        const path = await pathIn(world, organization)
        const { status, body: problem } = await read(
          await ask(world, path, (await organization.as(role)).token),
        )
        expect({ status, code: problem['code'] }).toEqual({ status: 403, code: 'forbidden' })
      })
    }

    if (typeof route.path !== 'string') {
      it("answers 404 to another organization, and to an id that is nobody's", async () => {
        const world = createWorld()
        const organization = await world.organization()
        const stranger = await world.organization()
        const path = await pathIn(world, organization)
        const unknown = path.replace(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/, ANY_ID)
        const tries = who === 'user' ? [path, unknown] : [unknown]
        for (const tried of tries) {
          const { status, body: problem } = await read(
            await ask(world, tried, await tokenOf(world, stranger)),
          )
          expect({ status, code: problem['code'] }).toEqual({ status: 404, code: 'not_found' })
        }
      })
    }

    if (body !== undefined) {
      it('answers 413 to a body that is too large, before it is read', async () => {
        const world = createWorld()
        const organization = await world.organization()
        const path = await pathIn(world, organization)
        const large = JSON.stringify({ filler: 'x'.repeat(max_bytes) })
        const { status, body: problem } = await read(
          await ask(world, path, await tokenOf(world, organization), large),
        )
        expect({ status, code: problem['code'] }).toEqual({ status: 413, code: 'too_large' })
      })

      it.each(['{"broken":', 'null', '[]', '"text"', ''])('answers 400 to the body %j', async (broken) => {
        const world = createWorld()
        const organization = await world.organization()
        const path = await pathIn(world, organization)
        const response = await ask(world, path, await tokenOf(world, organization), broken)
        const type = response.headers.get('Content-Type')
        const { status, body: problem } = await read(response)
        expect({ status, type, code: problem['code'] }).toEqual({
          status: 400,
          type: 'application/problem+json',
          code: 'invalid',
        })
      })
    }
  })
}

import { sql } from 'drizzle-orm'
import { raw } from '#db/client'
import type { LoginRole } from './policy'

/** The login behind the pool, not the role that the transaction takes. */
export function findLoginRole() {
  return raw<{ login: LoginRole }>(sql`
    select json_build_object('role', r.rolname, 'superuser', r.rolsuper, 'bypass_rls', r.rolbypassrls,
        'inherits', exists (select from pg_auth_members m where m.member = r.oid and m.inherit_option
          and m.roleid in (select oid from pg_roles where rolname in ('inlet_app', 'inlet_system')))) as login
      from pg_roles r where r.rolname = session_user`)
}

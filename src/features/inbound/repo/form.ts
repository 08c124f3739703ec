import { q } from '#db/client'
import { organizations } from '#db/schema/organizations'

/** What a form needs to know of its organization, of which the door shows one row at most. */
export function findForm() {
  return q
    .select({
      name: organizations.name,
      allowed_origins: organizations.form_allowed_origins,
      redirect_url: organizations.form_redirect_url,
    })
    .from(organizations)
}

// One object for the installation: which organization a slug means, and which ingest buffers hold anything.
import { DurableObject } from 'cloudflare:workers'
import type { DirectoryEntry, DirectoryPort } from '#platform/directory'

export class Directory extends DurableObject<Env> implements DirectoryPort {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    const { sql } = state.storage
    sql.exec(`create table if not exists organizations (org_id text primary key, slug text not null unique,
      allowed_origins text not null, redirect_url text, updated_at integer not null, seen_at integer not null)`)
    sql.exec('create table if not exists buffers (name text primary key)')
    sql.exec('create table if not exists meta (key text primary key, value integer not null)')
  }

  async find(slug: string): Promise<DirectoryEntry | null> {
    const [row] = this.ctx.storage.sql
      .exec<{ org_id: string; allowed_origins: string; redirect_url: string | null; updated_at: number }>(
        'select org_id, allowed_origins, redirect_url, updated_at from organizations where slug = ?',
        slug,
      )
      .toArray()
    if (!row) return null
    return {
      slug,
      org_id: row.org_id,
      allowed_origins: JSON.parse(row.allowed_origins) as string[],
      redirect_url: row.redirect_url,
      updated_at: new Date(row.updated_at),
    }
  }

  async keep(entries: DirectoryEntry[], at: Date): Promise<void> {
    const { sql } = this.ctx.storage
    for (const entry of entries) {
      const version = entry.updated_at.getTime()
      // The slug may have changed hands: whoever had it later has it.
      sql.exec(
        'delete from organizations where slug = ? and org_id <> ? and updated_at <= ?',
        entry.slug,
        entry.org_id,
        version,
      )
      sql.exec(
        `insert into organizations (org_id, slug, allowed_origins, redirect_url, updated_at, seen_at)
          select ?1, ?2, ?3, ?4, ?5, ?6 where not exists (select 1 from organizations where slug = ?2 and org_id <> ?1)
          on conflict (org_id) do update set slug = excluded.slug, allowed_origins = excluded.allowed_origins,
            redirect_url = excluded.redirect_url, updated_at = excluded.updated_at, seen_at = excluded.seen_at
            where excluded.updated_at >= organizations.updated_at`,
        entry.org_id,
        entry.slug,
        JSON.stringify(entry.allowed_origins),
        entry.redirect_url,
        version,
        at.getTime(),
      )
    }
  }

  async completed(at: Date, unseen_since: Date): Promise<void> {
    const { sql } = this.ctx.storage
    sql.exec('delete from organizations where seen_at < ?', unseen_since.getTime())
    sql.exec("insert or replace into meta (key, value) values ('completed_at', ?)", at.getTime())
  }

  async completedAt(): Promise<Date | null> {
    const [row] = this.ctx.storage.sql
      .exec<{ value: number }>("select value from meta where key = 'completed_at'")
      .toArray()
    return row ? new Date(row.value) : null
  }

  async noteBuffer(name: string, busy: boolean): Promise<void> {
    const { sql } = this.ctx.storage
    if (busy) sql.exec('insert or ignore into buffers (name) values (?)', name)
    else sql.exec('delete from buffers where name = ?', name)
  }

  async busyBuffers(): Promise<string[]> {
    return this.ctx.storage.sql
      .exec<{ name: string }>('select name from buffers order by name')
      .toArray()
      .map(({ name }) => name)
  }
}

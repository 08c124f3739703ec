// All that is kept about one contact, as rows of one statement: a cursor over it shows one moment, however long it is read.
import { type SQL, sql } from 'drizzle-orm'
import { raw } from '#db/client'
import { secretKinds } from '#kernel/vocabulary'

/** In the order in which they are read. */
export const sections = [
  'contact',
  'handles',
  'leads',
  'conversations',
  'messages',
  'comments',
  'drafts',
  'sends',
  'suppressions',
  'audit',
] as const
export type Section = (typeof sections)[number]

export type ExportedRow = { section: Section; row: Record<string, unknown> }

/** The exported instants are in UTC, wherever the database stands. */
export function inUtc() {
  return raw(sql`select set_config('TimeZone', 'UTC', true)`)
}

/** `email_hash`: by what an erased address of theirs is suppressed; `null`: by nothing. */
export function openExport(input: { org_id: string; contact_id: string; email_hash: string | null }) {
  const { org_id, contact_id, email_hash } = input
  const part = (section: Section, at: SQL, row: SQL, from: SQL) =>
    sql`select ${sections.indexOf(section)}::integer as place, ${section}::text as section, ${at} as at, ${row} as row from ${from}`
  const ours = sql`t.org_id = ${org_id}::uuid`
  const theirs = sql`(t.conversation_id in (select id from threads) or t.lead_id in (select id from inquiries))`
  return raw(sql`declare exported no scroll cursor for
    with person as (select * from contacts where org_id = ${org_id}::uuid and id = ${contact_id}::uuid),
    threads as (select v.id from conversations v where v.org_id = ${org_id}::uuid and v.contact_id = ${contact_id}::uuid),
    inquiries as (
      select l.id from leads l where l.org_id = ${org_id}::uuid
        and (l.contact_id = ${contact_id}::uuid or l.conversation_id in (select id from threads))),
    mails as (
      select t.id from sends t where ${ours} and (${theirs} or t.to_email = (select email_norm from person))),
    said as (
      select t.id from messages t where ${ours}
        and (t.conversation_id in (select id from threads) or t.from_email = (select email_norm from person))),
    written as (select t.id from drafts t where ${ours} and ${theirs}),
    named as (
      select 'contact' as entity, ${contact_id}::text as id
      union all select 'conversation', id::text from threads
      union all select 'lead', id::text from inquiries
      union all select 'message', id::text from said
      union all select 'draft', id::text from written
      union all select 'send', id::text from mails)
    select section, row from (
      ${part('contact', sql`t.created_at`, sql`to_jsonb(t) - '{org_id,email_norm}'::text[]`, sql`person t`)}
      union all
      ${part('handles', sql`t.created_at`, sql`to_jsonb(t) - '{org_id,contact_id}'::text[]`, sql`contact_handles t where ${ours} and t.contact_id = ${contact_id}::uuid`)}
      union all
      ${part('leads', sql`t.received_at`, sql`to_jsonb(t) - '{org_id,request_hash,version}'::text[]`, sql`leads t where ${ours} and t.id in (select id from inquiries)`)}
      union all
      ${part('conversations', sql`t.created_at`, sql`to_jsonb(t) - '{org_id,version}'::text[]`, sql`conversations t where ${ours} and t.id in (select id from threads)`)}
      union all
      ${part('messages', sql`t.received_at`, sql`to_jsonb(t) - '{org_id,body_hash}'::text[]`, sql`messages t where ${ours} and t.id in (select id from said)`)}
      union all
      ${part('comments', sql`t.created_at`, sql`to_jsonb(t) - '{org_id}'::text[]`, sql`comments t where ${ours} and t.conversation_id in (select id from threads)`)}
      union all
      ${part('drafts', sql`t.created_at`, sql`to_jsonb(t) - '{org_id,version,generation,attempts,lease_until}'::text[]`, sql`drafts t where ${ours} and t.id in (select id from written)`)}
      union all
      ${part(
        'sends',
        sql`t.created_at`,
        sql`to_jsonb(t) - '{org_id,claim_token,lease_until,dedupe_key}'::text[]
          || case when t.kind = any(${sql.param(secretKinds)}::text[]) then '{"text": null}'::jsonb else '{}'::jsonb end`,
        sql`sends t where ${ours} and t.id in (select id from mails)`,
      )}
      union all
      ${part(
        'suppressions',
        sql`t.created_at`,
        sql`to_jsonb(t) - '{org_id}'::text[]`,
        sql`suppressions t, person where ${ours} and ((t.kind = 'email' and t.value_norm = person.email_norm)
          or (t.kind = 'domain' and t.value_norm = split_part(person.email_norm, '@', 2)) or (t.kind = 'email_hash' and t.value_norm = ${email_hash}::text))`,
      )}
      union all
      ${part('audit', sql`t.at`, sql`to_jsonb(t) - '{org_id,created_at}'::text[]`, sql`audit_logs t, named n where ${ours} and t.entity = n.entity and t.entity_id = n.id`)}
    ) everything order by place, at, row->>'id'`)
}

/** The next few: a message may be long, and this many are in memory at a time. */
export function fetchExport() {
  return raw<ExportedRow>(sql`fetch 20 from exported`)
}

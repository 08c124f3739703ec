-- What ends: a person who is erased, and rows that an organization lets expire.

-- What a mail provider reported of mails that are about to be erased. Answers why no more mail may go to their recipient, where
-- that was still to be read from a report. Definer: a report names no organization; only those of the caller's own sends are touched.
create or replace function forget_mail_events(p_sends uuid[]) returns text
  language sql volatile security definer set search_path = public, pg_temp as $$
  with ours as (
    select s.id, s.provider_message_id from sends s
      where s.org_id = nullif(current_setting('app.org_id', true), '')::uuid and s.id = any(p_sends)),
  gone as (
    delete from mail_events e using ours
      where e.send_id = ours.id or (e.send_id is null and e.provider_message_id = ours.provider_message_id)
      returning e.detail, e.applied_at)
  select case
      when bool_or(detail->>'effect' = 'complained') then 'complaint'
      when bool_or(detail->>'effect' = 'bounced' and (detail#>>'{bounce,hard}')::boolean) then 'hard_bounce'
      when bool_or(detail->>'effect' = 'unsubscribed') then 'unsubscribed_at_provider'
    end from gone where applied_at is null
$$;
--> statement-breakpoint
grant create on schema public to inlet_system;
--> statement-breakpoint
alter function forget_mail_events(uuid[]) owner to inlet_system;
--> statement-breakpoint
revoke create on schema public from inlet_system;
--> statement-breakpoint
-- Everything about one contact, in one statement. Runs as the caller under row-level security.
-- Locks in the order of ingest_inbound and of the gate: contact, conversation, send, lead. Whoever holds one of them is waited
-- for, and each statement here sees what they have written.
create or replace function erase_contact(p jsonb) returns jsonb language plpgsql as $$
declare
  v_org uuid := nullif(current_setting('app.org_id', true), '')::uuid;
  v_id uuid := (p->>'contact_id')::uuid;
  v_email text; v_hash text := p->>'email_hash';
  v_conversations uuid[]; v_leads uuid[]; v_elsewhere uuid[]; v_drafts uuid[]; v_sends uuid[]; v_in_flight boolean;
  v_reported text; v_suppressed boolean; v_messages integer; v_comments integer; v_more integer;
begin
  select email_norm into v_email from contacts where org_id = v_org and id = v_id for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  -- The hash is of the address that the caller has read.
  if v_email is distinct from p->>'email_norm' then return jsonb_build_object('outcome', 'changed'); end if;

  select coalesce(array_agg(c.id), '{}') into v_conversations from (
    select id from conversations where org_id = v_org and contact_id = v_id order by id for update) c;
  select coalesce(array_agg(id), '{}') into v_leads from leads
    where org_id = v_org and (contact_id = v_id or conversation_id = any(v_conversations));
  -- What they wrote into the threads of others.
  select coalesce(array_agg(id), '{}') into v_elsewhere from messages
    where org_id = v_org and v_email is not null and from_email = v_email and conversation_id <> all(v_conversations);
  select coalesce(array_agg(id), '{}') into v_drafts from drafts
    where org_id = v_org and (conversation_id = any(v_conversations) or lead_id = any(v_leads) or message_id = any(v_elsewhere));
  -- Past the gate and with its lease, a mail may be with the provider this very moment.
  select coalesce(array_agg(s.id), '{}'), coalesce(bool_or(s.state = 'sending' and s.lease_until > clock_timestamp()), false)
    into v_sends, v_in_flight from (
      select id, state, lease_until from sends where org_id = v_org
        and (conversation_id = any(v_conversations) or lead_id = any(v_leads) or draft_id = any(v_drafts)
          or (to_email = v_email and kind = any(select jsonb_array_elements_text(p->'kinds'))))
      order by id for update) s;
  if v_in_flight then return jsonb_build_object('outcome', 'in_flight'); end if;

  v_reported := forget_mail_events(v_sends);
  if v_hash is not null then
    insert into suppressions (org_id, id, kind, value_norm, reason, created_at)
      select v_org, (p->>'suppression_id')::uuid, 'email_hash', v_hash, s.reason, s.created_at from (
        select x.reason, x.created_at from suppressions x where x.org_id = v_org and x.kind = 'email' and x.value_norm = v_email
        union all select v_reported, (p->>'now')::timestamptz where v_reported is not null
        limit 1) s
      on conflict (org_id, kind, value_norm) do nothing;
    delete from suppressions where org_id = v_org and kind = 'email' and value_norm = v_email;
    v_suppressed := exists (select from suppressions where org_id = v_org and kind = 'email_hash' and value_norm = v_hash);
  end if;

  delete from notifications where org_id = v_org
    and (entity_id = v_id or entity_id = any(v_conversations || v_leads || v_drafts || v_sends));
  delete from sends where org_id = v_org and id = any(v_sends);
  select count(*) into v_messages from messages where org_id = v_org and conversation_id = any(v_conversations);
  select count(*) into v_comments from comments where org_id = v_org and conversation_id = any(v_conversations);
  -- Also our answers to them in the threads of others.
  delete from messages where org_id = v_org and (id = any(v_elsewhere) or (send_id = any(v_sends) and conversation_id <> all(v_conversations)));
  get diagnostics v_more = row_count;
  v_messages := v_messages + v_more;
  if v_email is not null then
    update messages m set
        "to" = (select coalesce(jsonb_agg(a), '[]') from jsonb_array_elements(m."to") a where a->>'email' is distinct from v_email),
        cc = (select coalesce(jsonb_agg(a), '[]') from jsonb_array_elements(m.cc) a where a->>'email' is distinct from v_email)
      where m.org_id = v_org and conversation_id <> all(v_conversations)
        and (m."to" @> jsonb_build_array(jsonb_build_object('email', v_email)) or m.cc @> jsonb_build_array(jsonb_build_object('email', v_email)));
  end if;
  delete from drafts where org_id = v_org and id = any(v_drafts);
  delete from leads where org_id = v_org and id = any(v_leads);
  delete from conversations where org_id = v_org and id = any(v_conversations);
  delete from contacts where org_id = v_org and id = v_id;

  insert into audit_logs (org_id, id, at, actor_type, actor_id, action, entity, entity_id, request_id, ip)
    values (v_org, (p#>>'{audit,id}')::uuid, (p->>'now')::timestamptz, p#>>'{audit,actor_type}', p#>>'{audit,actor_id}', 'contact.erased',
      'contact', v_id, p#>>'{audit,request_id}', p#>>'{audit,ip}');
  return jsonb_build_object('outcome', 'erased', 'suppressed', coalesce(v_suppressed, false), 'removed', jsonb_build_object(
    'leads', cardinality(v_leads), 'conversations', cardinality(v_conversations), 'messages', v_messages, 'comments', v_comments,
    'drafts', cardinality(v_drafts), 'sends', cardinality(v_sends)));
end $$;
--> statement-breakpoint
-- A mail on its way, or a draft that waits for the AI or a person: not old, whatever the calendar says.
create or replace function is_busy_conversation(p_org uuid, p_conversation uuid) returns boolean language sql stable as $$
  select exists (select from sends s where s.org_id = p_org and s.conversation_id = p_conversation and s.state not in ('sent', 'failed', 'skipped'))
    or exists (select from drafts d where d.org_id = p_org and d.conversation_id = p_conversation and d.status in ('pending', 'ready'))
$$;
--> statement-breakpoint
-- Contacts of whom nothing is left go too; one whose address is suppressed stays. Who is just writing holds the lock and is passed over.
create or replace function drop_empty_contacts(p_org uuid, p_contacts uuid[]) returns integer language plpgsql as $$
declare v_locked uuid[]; v_count integer;
begin
  select coalesce(array_agg(c.id), '{}') into v_locked from (
    select id from contacts where org_id = p_org and id = any(p_contacts) order by id for update skip locked) c;
  delete from contacts c where c.org_id = p_org and c.id = any(v_locked)
    and not exists (select from conversations v where v.org_id = p_org and v.contact_id = c.id)
    and not exists (select from leads l where l.org_id = p_org and l.contact_id = c.id)
    and not exists (select from sends s where s.org_id = p_org and s.to_email = c.email_norm)
    and not exists (select from suppressions x where x.org_id = p_org and x.kind = 'email' and x.value_norm = c.email_norm);
  get diagnostics v_count = row_count;
  return v_count;
end $$;
--> statement-breakpoint
-- Looks at the p->rows oldest rows of one table behind p->after that are past their time, and removes those that nothing holds.
-- Nothing goes before its own limit: what belongs to a row that goes and is kept longer is parted from it first.
-- { examined, last: { at, id }, removed: { <table>: n } }; less examined than asked for is the end.
create or replace function apply_retention(p jsonb) returns jsonb language plpgsql as $$
declare
  v_org uuid := nullif(current_setting('app.org_id', true), '')::uuid;
  v_table text := p->>'table';
  v_now timestamptz := (p->>'now')::timestamptz;
  v_rows integer := (p->>'rows')::integer;
  v_at timestamptz := coalesce((p#>>'{after,at}')::timestamptz, '-infinity');
  v_id uuid := coalesce((p#>>'{after,id}')::uuid, '00000000-0000-0000-0000-000000000000');
  v_days jsonb; v_before timestamptz; v_leads_before timestamptz; v_sends_before timestamptz; v_floor uuid;
  v_ids uuid[]; v_contacts uuid[]; v_locked uuid[]; v_count integer; v_removed jsonb := '{}';
begin
  select retention_days into v_days from organizations where id = v_org;
  v_before := v_now - make_interval(hours => 24 * (v_days->>(case v_table when 'notices' then 'notifications' else v_table end))::integer);
  if v_before is null then return jsonb_build_object('examined', 0, 'removed', v_removed); end if;
  -- A link to unsubscribe has to work for 30 days.
  v_sends_before := v_now - make_interval(hours => 24 * greatest(30, (v_days->>'sends')::integer));
  v_leads_before := v_now - make_interval(hours => 24 * (v_days->>'leads')::integer);
  -- UUIDv7 begins with its instant, so a key tells what is older without an index of its own.
  v_floor := (lpad(to_hex(floor(extract(epoch from v_before) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid;

  case v_table
  when 'events' then
    select coalesce(array_agg(r.id order by r.id), '{}') into v_ids from (
      select id from events where org_id = v_org and id > v_id and id < v_floor order by id limit v_rows) r;
    delete from events where org_id = v_org and id = any(v_ids) and created_at < v_before and dispatched_at is not null;
    get diagnostics v_count = row_count;
    v_removed := jsonb_build_object('events', v_count);
  when 'notifications' then
    select coalesce(array_agg(r.id order by r.id), '{}') into v_ids from (
      select id from notifications where org_id = v_org and id > v_id and id < v_floor order by id limit v_rows) r;
    delete from notifications where org_id = v_org and id = any(v_ids) and created_at < v_before and read_at is not null;
    get diagnostics v_count = row_count;
    v_removed := jsonb_build_object('notifications', v_count);
  when 'notices' then
    select coalesce(array_agg(r.id order by r.id), '{}') into v_ids from (
      select id from notices where org_id = v_org and id > v_id and id < v_floor order by id limit v_rows) r;
    delete from notices where org_id = v_org and id = any(v_ids) and created_at < v_before and state in ('sent', 'failed');
    get diagnostics v_count = row_count;
    v_removed := jsonb_build_object('notices', v_count);

  when 'sends' then
    v_before := v_sends_before;
    select coalesce(array_agg(r.id order by r.created_at, r.id), '{}'), max(r.created_at) into v_ids, v_at from (
      select id, created_at from sends where org_id = v_org and created_at < v_before and (created_at, id) > (v_at, v_id)
      order by created_at, id limit v_rows) r;
    select coalesce(array_agg(c.id), '{}') into v_contacts from contacts c where c.org_id = v_org
      and c.email_norm in (select to_email from sends where org_id = v_org and id = any(v_ids));
    -- Some wait long before they leave, and the link works from then on.
    delete from sends where org_id = v_org and id = any(v_ids) and state in ('sent', 'failed', 'skipped')
      and coalesce(sent_at, created_at) < v_before;
    get diagnostics v_count = row_count;
    v_removed := jsonb_build_object('sends', v_count, 'contacts', drop_empty_contacts(v_org, v_contacts));

  when 'leads' then
    select coalesce(array_agg(r.id order by r.received_at, r.id), '{}'), max(r.received_at) into v_ids, v_at from (
      select id, received_at from leads where org_id = v_org and received_at < v_before and (received_at, id) > (v_at, v_id)
      order by received_at, id limit v_rows) r;
    -- Who is writing just now holds the lock of the contact, and is not old.
    select coalesce(array_agg(c.id), '{}') into v_contacts from (
      select id from contacts where org_id = v_org and id in (select contact_id from leads where org_id = v_org and id = any(v_ids))
      order by id for update skip locked) c;
    select coalesce(array_agg(c.id), '{}') into v_locked from (
      select id from conversations where org_id = v_org and last_message_at < v_before
        and id in (select conversation_id from leads where org_id = v_org and id = any(v_ids) and contact_id = any(v_contacts))
      order by id for update skip locked) c;
    select coalesce(array_agg(l.id), '{}') into v_locked from leads l where l.org_id = v_org and l.id = any(v_ids)
      and l.contact_id = any(v_contacts) and l.conversation_id = any(v_locked) and not is_busy_conversation(v_org, l.conversation_id)
      and not exists (select from sends s where s.org_id = v_org and s.lead_id = l.id and s.state not in ('sent', 'failed', 'skipped'));
    update sends set lead_id = null where org_id = v_org and lead_id = any(v_locked);
    update drafts set lead_id = null where org_id = v_org and lead_id = any(v_locked);
    delete from leads where org_id = v_org and id = any(v_locked);
    get diagnostics v_count = row_count;
    v_removed := jsonb_build_object('leads', v_count, 'contacts', drop_empty_contacts(v_org, v_contacts));

  when 'conversations' then
    select coalesce(array_agg(r.id order by r.last_message_at, r.id), '{}'), max(r.last_message_at) into v_ids, v_at from (
      select id, last_message_at from conversations where org_id = v_org and last_message_at < v_before and (last_message_at, id) > (v_at, v_id)
      order by last_message_at, id limit v_rows) r;
    select coalesce(array_agg(c.id), '{}') into v_contacts from (
      select id from contacts where org_id = v_org and id in (select contact_id from conversations where org_id = v_org and id = any(v_ids))
      order by id for update skip locked) c;
    select coalesce(array_agg(c.id), '{}') into v_locked from (
      select id from conversations where org_id = v_org and id = any(v_ids) and last_message_at < v_before
        and (contact_id is null or contact_id = any(v_contacts))
      order by id for update skip locked) c;
    select coalesce(array_agg(c.id), '{}') into v_locked from conversations c where c.org_id = v_org and c.id = any(v_locked)
      and not is_busy_conversation(v_org, c.id)
      and not exists (select from leads l where l.org_id = v_org and l.conversation_id = c.id
        and (v_leads_before is null or l.received_at >= v_leads_before or c.last_message_at >= v_leads_before
          or exists (select from sends s where s.org_id = v_org and s.lead_id = l.id and s.state not in ('sent', 'failed', 'skipped'))));
    update sends set conversation_id = null, draft_id = null, lead_id = null where org_id = v_org and conversation_id = any(v_locked);
    update sends s set lead_id = null, draft_id = null from leads l
      where l.org_id = v_org and l.conversation_id = any(v_locked) and s.org_id = v_org and s.lead_id = l.id;
    select count(*) into v_count from messages where org_id = v_org and conversation_id = any(v_locked);
    v_removed := jsonb_build_object('messages', v_count);
    select count(*) into v_count from leads where org_id = v_org and conversation_id = any(v_locked);
    v_removed := v_removed || jsonb_build_object('leads', v_count);
    delete from conversations where org_id = v_org and id = any(v_locked);
    get diagnostics v_count = row_count;
    v_removed := v_removed || jsonb_build_object('conversations', v_count, 'contacts', drop_empty_contacts(v_org, v_contacts));
  end case;

  return jsonb_build_object('examined', cardinality(v_ids), 'removed', v_removed,
    'last', jsonb_build_object('at', case when isfinite(v_at) then v_at end, 'id', v_ids[cardinality(v_ids)]));
end $$;

-- Functions that save a hot path its second round trip, and the two that look past one organization.

-- Which organization a public slug belongs to. Definer: the caller has no organization yet.
create or replace function org_by_slug(p_slug text) returns uuid
  language sql stable security definer set search_path = public, pg_temp as
$$ select id from organizations where slug = p_slug $$;
--> statement-breakpoint
-- Takes one of p_limit slots of the current minute. Returns the seconds to wait, 0 when it was granted.
-- Definer: counters belong to the installation, keys are hashes.
create or replace function take_rate_limit(p_key text, p_limit integer) returns integer
  language plpgsql volatile security definer set search_path = public, pg_temp as $$
declare v_window timestamptz := date_trunc('minute', clock_timestamp()); v_count integer;
begin
  if p_limit <= 0 then return 0; end if;
  insert into rate_limits (key, window_at, count) values (p_key, v_window, 1)
    on conflict (key, window_at) do update set count = rate_limits.count + 1
    returning count into v_count;
  if v_count <= p_limit then return 0; end if;
  return greatest(1, ceil(extract(epoch from v_window + interval '1 minute' - clock_timestamp()))::integer);
end $$;
--> statement-breakpoint
-- Which mailboxes an address stands for: one account may be connected in several organizations.
create or replace function mailboxes_by_address(p_provider text, p_email_norm text) returns table (org_id uuid, mailbox_id uuid)
  language sql stable security definer set search_path = public, pg_temp as
$$ select m.org_id, m.id from mailboxes m where m.provider = p_provider and m.email_norm = p_email_norm and m.status in ('connecting', 'connected') $$;
--> statement-breakpoint
-- Which organization a send belongs to: an answer's address names the send alone. Definer, as above.
create or replace function org_by_send(p_send uuid) returns uuid
  language sql stable security definer set search_path = public, pg_temp as
$$ select org_id from sends where id = p_send $$;
--> statement-breakpoint
-- Definer functions are owned by inlet_system: under FORCE the owner of the tables would see nothing.
grant create on schema public to inlet_system;
--> statement-breakpoint
alter function org_by_slug(text) owner to inlet_system;
--> statement-breakpoint
alter function take_rate_limit(text, integer) owner to inlet_system;
--> statement-breakpoint
alter function mailboxes_by_address(text, text) owner to inlet_system;
--> statement-breakpoint
alter function org_by_send(uuid) owner to inlet_system;
--> statement-breakpoint
revoke create on schema public from inlet_system;
--> statement-breakpoint
-- Everything that one inbound message makes, in one statement: contact, conversation, message, lead, draft, notice,
-- events and audit entry. Runs as the caller under row-level security; the organization is the transaction's.
-- Exactly once by (mailbox or channel, provider message id), by the lead's id for what a form or a backend posts.
create or replace function ingest_inbound(p jsonb) returns jsonb language plpgsql as $$
declare
  v_org uuid := nullif(current_setting('app.org_id', true), '')::uuid;
  v_now timestamptz := (p->>'now')::timestamptz;
  v_message jsonb := p->'message';
  v_ids jsonb := p->'ids';
  v_received timestamptz := (v_message->>'received_at')::timestamptz;
  v_mailbox uuid := (v_message->>'mailbox_id')::uuid;
  v_thread text := p->>'provider_thread_id';
  v_class text := coalesce(v_message->>'classification', 'human');
  v_human boolean := v_class = 'human';
  -- Only the provider's Sent folder proves that we wrote it; a From of ours in the inbox may be forged.
  v_ours boolean := v_class = 'own' and coalesce((p->>'in_sent')::boolean, false);
  v_message_id uuid := (v_ids->>'message')::uuid;
  v_organization organizations%rowtype;
  v_contact uuid; v_conversation uuid; v_known boolean := true; v_lead uuid; v_new_lead boolean := false; v_draft uuid;
  v_other_hash text; v_send uuid; v_waits jsonb; v_other_lead timestamptz; v_constraint text;
  v_handle text := p#>>'{contact,handle}';
  -- Kept, so that nothing is lost by a wrong guess, but nobody is told of it.
  v_spam boolean := coalesce((p->>'spam')::boolean, false);
begin
  select * into v_organization from organizations where id = v_org;
  if not found then return jsonb_build_object('outcome', 'unknown_organization'); end if;

  -- A token that was revoked after the lead had come still let it in.
  if p ? 'site_token' then
    perform from site_tokens t where t.org_id = v_org and t.id = (p#>>'{site_token,id}')::uuid and t.hash = p#>>'{site_token,hash}'
      and (t.revoked_at is null or t.revoked_at > v_received);
    if not found then return jsonb_build_object('outcome', 'unauthenticated'); end if;
    -- To the minute, and by nobody who would have to wait for it.
    update site_tokens t set last_used_at = v_received
      from (select id from site_tokens where org_id = v_org and id = (p#>>'{site_token,id}')::uuid
        and (last_used_at is null or last_used_at < v_received - interval '1 minute') for no key update skip locked) due
      where t.org_id = v_org and t.id = due.id;
  end if;

  -- Present but null: a caller without an origin, who is no browser.
  if p ? 'origin' and cardinality(v_organization.form_allowed_origins) > 0
      and not coalesce(p->>'origin' = any(v_organization.form_allowed_origins), false) then
    return jsonb_build_object('outcome', 'origin_refused');
  end if;

  if p ? 'rate_limits' then
    select jsonb_agg(take_rate_limit(r->>'key', (r->>'limit')::integer)) into v_waits from jsonb_array_elements(p->'rate_limits') r;
    if exists (select from jsonb_array_elements_text(v_waits) w where w::integer > 0) then
      return jsonb_build_object('outcome', 'rate_limited', 'waits', v_waits);
    end if;
  end if;

  -- As `derivedUuid` (platform/crypto) makes it, so that a lead has one id whichever way it takes.
  if p ? 'lead_key' then
    v_ids := v_ids || jsonb_build_object('lead', (select overlay(overlay(h placing '8' from 13)
        placing substr('89ab', (('x' || substr(h, 17, 1))::bit(4)::integer & 3) + 1, 1) from 17)::uuid
      from (select left(encode(sha256(convert_to('lead:' || v_org || ':' || (p->>'lead_key'), 'UTF8')), 'hex'), 32) as h) hashed));
  end if;

  -- Before anything is written: another body under a known key leaves no contact behind. Two at the same moment are told apart
  -- by the lead's key, and the second one comes again.
  if p->>'request_hash' is not null then
    select l.request_hash, l.conversation_id, l.received_at into v_other_hash, v_conversation, v_other_lead from leads l where l.org_id = v_org and l.id = (v_ids->>'lead')::uuid;
    if found then
      return jsonb_build_object('outcome', case when v_other_hash is distinct from p->>'request_hash' then 'key_reused' else 'duplicate' end,
        'lead_id', v_ids->>'lead', 'conversation_id', v_conversation, 'received_at', v_other_lead);
    end if;
  end if;

  -- The contact's row lock lets two messages of one person in one after the other.
  if v_human and jsonb_typeof(p->'contact') = 'object' then
    if p#>>'{contact,email_norm}' is not null then
      insert into contacts as c (org_id, id, email, email_norm, name, company, phone, last_inbound_at, created_at, updated_at)
        values (v_org, (v_ids->>'contact')::uuid, p#>>'{contact,email}', p#>>'{contact,email_norm}', p#>>'{contact,name}',
                p#>>'{contact,company}', p#>>'{contact,phone}', v_received, v_now, v_now)
        on conflict (org_id, email_norm) do update set
          last_inbound_at = greatest(c.last_inbound_at, excluded.last_inbound_at), updated_at = v_now,
          name = coalesce(c.name, excluded.name), company = coalesce(c.company, excluded.company), phone = coalesce(c.phone, excluded.phone)
        returning id into v_contact;
    elsif v_handle is not null then
      update contacts c set last_inbound_at = greatest(c.last_inbound_at, v_received), updated_at = v_now,
          name = coalesce(c.name, p#>>'{contact,name}'), phone = coalesce(c.phone, p#>>'{contact,phone}')
        from contact_handles h
        where h.org_id = v_org and h.channel = v_message->>'channel' and h.handle = v_handle and c.org_id = v_org and c.id = h.contact_id
        returning c.id into v_contact;
      if v_contact is null then
        v_contact := (v_ids->>'contact')::uuid;
        insert into contacts (org_id, id, name, phone, last_inbound_at, created_at, updated_at)
          values (v_org, v_contact, p#>>'{contact,name}', p#>>'{contact,phone}', v_received, v_now, v_now);
        insert into contact_handles (org_id, channel, handle, contact_id, created_at)
          values (v_org, v_message->>'channel', v_handle, v_contact, v_now);
      end if;
    end if;
  end if;

  if v_message->>'provider_message_id' is not null then
    if v_mailbox is null then
      select m.id, m.conversation_id into v_message_id, v_conversation from messages m
        where m.org_id = v_org and m.channel = v_message->>'channel' and m.provider_message_id = v_message->>'provider_message_id' and m.mailbox_id is null;
    else
      select m.id, m.conversation_id into v_message_id, v_conversation from messages m
        where m.org_id = v_org and m.mailbox_id = v_mailbox and m.provider_message_id = v_message->>'provider_message_id';
    end if;
    if found then return jsonb_build_object('outcome', 'duplicate', 'message_id', v_message_id, 'conversation_id', v_conversation); end if;
    v_message_id := (v_ids->>'message')::uuid;
  end if;

  -- A mail of ours that the provider shows in Sent: the send already has its row, or gets it when it is finished.
  if v_ours then
    select s.id into v_send from sends s where s.org_id = v_org and
      (s.id = (p->>'own_send_id')::uuid or s.provider_message_id = v_message->>'provider_message_id' or s.message_id = v_message->>'message_id') limit 1;
    if found then return jsonb_build_object('outcome', 'own_send', 'send_id', v_send); end if;
  end if;

  -- The thread by the provider's id, else by the Message-IDs it refers to.
  if v_thread is not null then
    select c.id into v_conversation from conversations c where c.org_id = v_org and c.mailbox_id = v_mailbox and c.provider_thread_id = v_thread;
  end if;
  -- The address that it came to names the send that it answers.
  if v_conversation is null and p ? 'reply_send_id' then
    select coalesce(s.conversation_id, l.conversation_id) into v_conversation from sends s
      left join leads l on l.org_id = s.org_id and l.id = s.lead_id
      where s.org_id = v_org and s.id = (p->>'reply_send_id')::uuid;
  end if;
  if v_conversation is null and jsonb_array_length(coalesce(p->'reference_ids', '[]')) > 0 then
    select c.id into v_conversation from (
        select m.conversation_id, m.received_at as at from messages m
          where m.org_id = v_org and m.message_id in (select jsonb_array_elements_text(p->'reference_ids'))
        union all
        select coalesce(s.conversation_id, l.conversation_id), s.created_at from sends s
          left join leads l on l.org_id = s.org_id and l.id = s.lead_id
          where s.org_id = v_org and s.message_id in (select jsonb_array_elements_text(p->'reference_ids'))
      ) known join conversations c on c.org_id = v_org and c.id = known.conversation_id
      where (v_thread is null or c.provider_thread_id is null) and (v_mailbox is null or c.mailbox_id is null or c.mailbox_id = v_mailbox)
      order by known.at desc limit 1;
    if v_conversation is not null and v_thread is not null then
      update conversations set mailbox_id = v_mailbox, provider_thread_id = v_thread where org_id = v_org and id = v_conversation;
    end if;
  end if;
  -- `contact`: a channel has no threads but the person. `sender`: an answer whose headers and address name nothing of ours.
  if v_conversation is null and v_contact is not null and p ? 'thread_by' then
    select c.id into v_conversation from conversations c
      where c.org_id = v_org and c.contact_id = v_contact and c.status <> 'ignored' and case p->>'thread_by'
        when 'contact' then c.channel = v_message->>'channel' and c.mailbox_id is null and c.status <> 'closed'
        when 'sender' then exists (select from sends s where s.org_id = v_org and s.conversation_id = c.id and s.created_at > v_received - interval '30 days')
        else false end
      order by c.last_message_at desc, c.id desc limit 1;
  end if;
  if v_conversation is null then
    -- What a person wrote elsewhere from their own mailbox is none of our business.
    if v_ours then return jsonb_build_object('outcome', 'ignored', 'reason', 'own_mail_outside_known_threads'); end if;
    v_known := false;
    v_conversation := (v_ids->>'conversation')::uuid;
    insert into conversations (org_id, id, contact_id, channel, mailbox_id, provider_thread_id, subject, status, last_message_at, last_inbound_at, created_at, updated_at)
      values (v_org, v_conversation, v_contact, v_message->>'channel', v_mailbox, v_thread, coalesce(v_message->>'subject', ''),
              case when v_human and not v_spam then 'open' else 'ignored' end, v_received, v_received, v_now, v_now);
  else
    update conversations c set
      contact_id = coalesce(c.contact_id, v_contact),
      status = case when v_human then 'open' else c.status end,
      last_message_at = greatest(c.last_message_at, v_received),
      last_inbound_at = case when v_ours then c.last_inbound_at else greatest(c.last_inbound_at, v_received) end,
      last_human_activity_at = case when v_ours then greatest(c.last_human_activity_at, v_received) else c.last_human_activity_at end,
      version = c.version + 1, updated_at = v_now
      where c.org_id = v_org and c.id = v_conversation;
  end if;

  insert into messages (org_id, id, conversation_id, direction, channel, mailbox_id, provider_message_id, message_id, in_reply_to, "references",
      from_email, from_name, "to", cc, subject, text, stripped_text, hidden_text, attachments, classification, verdicts, no_auto_reply, dmarc,
      body_hash, sent_at, received_at, created_at)
    values (v_org, v_message_id, v_conversation, case when v_ours then 'outbound' else 'inbound' end, v_message->>'channel', v_mailbox,
      v_message->>'provider_message_id', v_message->>'message_id', v_message->>'in_reply_to',
      coalesce((select array_agg(r) from jsonb_array_elements_text(v_message->'references') r), '{}'),
      v_message->>'from_email', v_message->>'from_name', coalesce(v_message->'to', '[]'), coalesce(v_message->'cc', '[]'),
      coalesce(v_message->>'subject', ''), coalesce(v_message->>'text', ''), coalesce(v_message->>'stripped_text', ''), coalesce(v_message->>'hidden_text', ''),
      coalesce(v_message->'attachments', '[]'), v_class, coalesce(v_message->'verdicts', '[]'),
      -- The same text again in one thread is two machines talking.
      coalesce(v_message->'no_auto_reply', '[]') || case when v_known and v_human and exists (select from messages m
          where m.org_id = v_org and m.conversation_id = v_conversation and m.direction = 'inbound' and m.body_hash = v_message->>'body_hash')
        then '[{"rule": "repeated_body", "passed": false, "detail": "The same text came before in this thread"}]'::jsonb else '[]'::jsonb end,
      v_message->>'dmarc', v_message->>'body_hash', (v_message->>'sent_at')::timestamptz, v_received, v_now);

  if v_class = 'bounce' and jsonb_typeof(p->'bounce') = 'object' then
    select s.id into v_send from sends s where s.org_id = v_org and
      (s.message_id = p#>>'{bounce,original_message_id}' or exists (select from messages m where m.org_id = v_org and m.send_id = s.id and m.message_id = p#>>'{bounce,original_message_id}'))
      limit 1;
    if v_send is not null then
      update sends set bounced_at = v_received, updated_at = v_now,
        bounce = jsonb_build_object('hard', (p#>>'{bounce,hard}')::boolean, 'status', p#>>'{bounce,status}', 'detail', p#>>'{bounce,detail}')
        where org_id = v_org and id = v_send;
      if (p#>>'{bounce,hard}')::boolean then
        insert into suppressions (org_id, id, kind, value_norm, reason, created_at)
          select v_org, (v_ids->>'suppression')::uuid, 'email', s.to_email, 'hard_bounce', v_now from sends s where s.org_id = v_org and s.id = v_send
          on conflict (org_id, kind, value_norm) do nothing;
      end if;
    end if;
  end if;

  -- A newer message, or a person who answered by hand, makes an automatic answer that still waits stale.
  if v_known and (v_human or v_ours) then
    with stopped as (
      update sends s set state = 'skipped', skip_reason = case when v_ours then 'answered_by_a_person' else 'newer_message' end,
          claim_token = null, lease_until = null, waits_because = null, updated_at = v_now
        where s.org_id = v_org and s.conversation_id = v_conversation and s.kind = 'reply' and s.automatic and s.state in ('scheduled', 'claimed')
        returning s.draft_id)
    update drafts d set status = 'superseded', version = d.version + 1, updated_at = v_now
      where d.org_id = v_org and d.conversation_id = v_conversation
        and (d.status in ('pending', 'ready') or d.id in (select draft_id from stopped));
  end if;

  if v_human then
    select l.id into v_lead from leads l where l.org_id = v_org and l.conversation_id = v_conversation order by l.received_at desc limit 1;
    if v_lead is null and (v_contact is not null) then
      v_lead := (v_ids->>'lead')::uuid; v_new_lead := true;
      insert into leads (org_id, id, contact_id, conversation_id, source, status, received_at, custom, request_hash, signals, page_url, utm, consent, created_at, updated_at)
        values (v_org, v_lead, v_contact, v_conversation, p->>'source', case when v_spam then 'spam' else 'received' end, v_received,
          coalesce(p->'custom', '{}'), p->>'request_hash', coalesce((select array_agg(s) from jsonb_array_elements_text(p->'signals') s), '{}'),
          p->>'page_url', p->'utm', p->'consent', v_now, v_now);
      if not v_spam and (v_organization.slack_webhook_sealed is not null or (p->>'slack_configured')::boolean) then
        insert into notices (org_id, id, channel, kind, dedupe_key, lead_id, next_attempt_at, created_at)
          values (v_org, (v_ids->>'notice')::uuid, 'slack', 'lead_outcome', 'lead:' || v_lead, v_lead, v_now, v_now);
      end if;
    end if;
    if v_organization.reply_mode <> 'off' and v_contact is not null and not v_spam then
      v_draft := (v_ids->>'draft')::uuid;
      insert into drafts (org_id, id, conversation_id, lead_id, message_id, created_at, updated_at)
        values (v_org, v_draft, v_conversation, v_lead, v_message_id, v_now, v_now);
    end if;
  end if;

  insert into events (org_id, id, type, payload, as_of, created_at)
    select v_org, e.id::uuid, e.type, jsonb_strip_nulls(e.payload), v_now, clock_timestamp() from (values
      (v_ids->>'message_event', 'message.ingested', jsonb_build_object('message_id', v_message_id, 'conversation_id', v_conversation, 'lead_id', v_lead, 'contact_id', v_contact), not v_spam),
      (v_ids->>'lead_event', 'lead.created', jsonb_build_object('lead_id', v_lead, 'contact_id', v_contact, 'conversation_id', v_conversation, 'draft_id', v_draft), v_new_lead and not v_spam),
      (v_ids->>'draft_event', 'draft.requested', jsonb_build_object('draft_id', v_draft, 'message_id', v_message_id), v_draft is not null)
    ) e (id, type, payload, wanted) where e.wanted;
  insert into audit_logs (org_id, id, at, actor_type, actor_id, action, entity, entity_id, request_id, ip)
    values (v_org, (v_ids->>'audit')::uuid, v_now, 'system', p->>'actor', case when v_new_lead then 'lead.created' else 'message.ingested' end,
      case when v_new_lead then 'lead' else 'message' end, case when v_new_lead then v_lead else v_message_id end, p->>'request_id', p->>'ip');

  return jsonb_strip_nulls(jsonb_build_object('outcome', 'created', 'org_id', v_org, 'message_id', v_message_id, 'conversation_id', v_conversation,
    'lead_id', v_lead, 'new_lead', v_new_lead, 'draft_id', v_draft, 'send_id', v_send, 'classification', v_class, 'spam', v_spam, 'redirect_url', v_organization.form_redirect_url));
exception
when unique_violation then
  -- Another delivery of the same message won; it is there.
  return jsonb_build_object('outcome', 'raced');
when foreign_key_violation then
  -- Its thread was erased or has expired between the look and the write. A mailbox that is gone stays gone.
  get stacked diagnostics v_constraint = constraint_name;
  if v_constraint like '%\_mailbox\_id\_%' then raise; end if;
  return jsonb_build_object('outcome', 'raced');
end $$;
--> statement-breakpoint
-- Many at once, in one transaction: what Postgres refuses for its content is reported and holds up none of the others.
-- No value is in the report, only where it was refused.
create or replace function ingest_many(p_items jsonb) returns jsonb language plpgsql as $$
declare v_item jsonb; v_result jsonb; v_results jsonb := '[]'; v_state text; v_constraint text; v_column text;
begin
  for v_item in select value from jsonb_array_elements(p_items) loop
    begin
      for attempt in 1..3 loop
        v_result := ingest_inbound(v_item);
        exit when v_result->>'outcome' <> 'raced';
      end loop;
    exception when data_exception or integrity_constraint_violation or program_limit_exceeded then
      get stacked diagnostics v_state = returned_sqlstate, v_constraint = constraint_name, v_column = column_name;
      v_result := jsonb_build_object('outcome', 'refused', 'code', v_state, 'where', coalesce(nullif(v_constraint, ''), nullif(v_column, '')));
    end;
    v_results := v_results || v_result;
  end loop;
  return v_results;
end $$;
--> statement-breakpoint
-- What a link of the chain covers. Instants as UTC text: the hash must not depend on a session's time zone.
create or replace function audit_digest(p_prev text, a audit_logs) returns text language sql immutable as $$
  select encode(sha256(convert_to(p_prev || jsonb_build_object('id', a.id, 'org', a.org_id,
    'at', to_char(a.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'actor_type', a.actor_type, 'actor_id', a.actor_id,
    'action', a.action, 'entity', a.entity, 'entity_id', a.entity_id, 'fields', to_jsonb(a.fields), 'request_id', a.request_id, 'ip', a.ip)::text, 'UTF8')), 'hex')
$$;
--> statement-breakpoint
-- Appends what is not chained yet, oldest first, at most p_limit rows. Returns how many.
create or replace function chain_audit(p_org uuid, p_limit integer) returns integer language plpgsql as $$
declare v_seq bigint; v_hash text; v_count integer := 0; r audit_logs;
begin
  perform pg_advisory_xact_lock(hashtextextended('audit_chain:' || p_org, 0));
  select seq, hash into v_seq, v_hash from audit_chain where org_id = p_org order by seq desc limit 1;
  v_seq := coalesce(v_seq, 0); v_hash := coalesce(v_hash, '');
  for r in select a.* from audit_logs a where a.org_id = p_org
      and not exists (select from audit_chain c where c.org_id = p_org and c.audit_id = a.id) order by a.id limit p_limit loop
    v_seq := v_seq + 1; v_hash := audit_digest(v_hash, r); v_count := v_count + 1;
    insert into audit_chain (org_id, seq, audit_id, hash, chained_at) values (p_org, v_seq, r.id, v_hash, clock_timestamp());
  end loop;
  return v_count;
end $$;
--> statement-breakpoint
-- { checked, unchained, broken_at }: the first seq whose row is gone, was changed, or does not follow from the one before.
create or replace function verify_audit(p_org uuid) returns jsonb language sql stable as $$
  with chain as (
    select c.seq, c.hash, lag(c.hash, 1, '') over (order by c.seq) as prev, row_number() over (order by c.seq) as place, a as entry, a.id as entry_id
      from audit_chain c left join audit_logs a on a.org_id = c.org_id and a.id = c.audit_id where c.org_id = p_org)
  select jsonb_build_object(
    'checked', (select count(*) from chain),
    'unchained', (select count(*) from audit_logs a where a.org_id = p_org and not exists (select from audit_chain c where c.org_id = p_org and c.audit_id = a.id)),
    'broken_at', (select min(seq) from chain where entry_id is null or seq <> place or hash <> audit_digest(prev, entry)))
$$;

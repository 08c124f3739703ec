-- As before, but a request that is refused or known writes nothing.
-- Everything that one inbound message makes, in one statement: contact, conversation, message, lead, draft, notice,
-- events and audit entry. Runs as the caller under row-level security; the organization is the transaction's.
-- Exactly once by (mailbox, provider message id), by the lead's id for forms.
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
  v_other_hash text; v_send uuid; v_superseded uuid[]; v_wait integer;
begin
  select * into v_organization from organizations where id = v_org;
  if not found then return jsonb_build_object('outcome', 'unknown_organization'); end if;

  if p->'rate_limit' is not null and jsonb_typeof(p->'rate_limit') = 'object' then
    v_wait := take_rate_limit(p#>>'{rate_limit,key}', (p#>>'{rate_limit,limit}')::integer);
    if v_wait > 0 then return jsonb_build_object('outcome', 'rate_limited', 'retry_after_seconds', v_wait); end if;
  end if;

  -- Before anything is written: another body under a known key leaves no contact behind. Two at the same moment are told apart
  -- by the lead's key, and the second one comes again.
  if p->>'request_hash' is not null then
    select l.request_hash, l.conversation_id into v_other_hash, v_conversation from leads l where l.org_id = v_org and l.id = (v_ids->>'lead')::uuid;
    if found then
      return jsonb_build_object('outcome', case when v_other_hash is distinct from p->>'request_hash' then 'key_reused' else 'duplicate' end,
        'lead_id', v_ids->>'lead', 'conversation_id', v_conversation);
    end if;
  end if;

  -- The contact's row lock lets two messages of one person in one after the other.
  if v_human and p->'contact' is not null and jsonb_typeof(p->'contact') = 'object' then
    insert into contacts as c (org_id, id, email, email_norm, name, company, phone, last_inbound_at, created_at, updated_at)
      values (v_org, (v_ids->>'contact')::uuid, p#>>'{contact,email}', p#>>'{contact,email_norm}', p#>>'{contact,name}',
              p#>>'{contact,company}', p#>>'{contact,phone}', v_received, v_now, v_now)
      on conflict (org_id, email_norm) do update set
        last_inbound_at = greatest(c.last_inbound_at, excluded.last_inbound_at), updated_at = v_now,
        name = coalesce(c.name, excluded.name), company = coalesce(c.company, excluded.company), phone = coalesce(c.phone, excluded.phone)
      returning id into v_contact;
  end if;

  if v_message->>'provider_message_id' is not null then
    select m.id, m.conversation_id into v_message_id, v_conversation from messages m
      where m.org_id = v_org and m.mailbox_id = v_mailbox and m.provider_message_id = v_message->>'provider_message_id';
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
  if v_conversation is null and jsonb_array_length(coalesce(p->'reference_ids', '[]')) > 0 then
    select m.conversation_id into v_conversation from messages m
      join conversations c on c.org_id = m.org_id and c.id = m.conversation_id
      where m.org_id = v_org and m.message_id in (select jsonb_array_elements_text(p->'reference_ids'))
        and (v_thread is null or c.provider_thread_id is null) and (c.mailbox_id is null or c.mailbox_id is not distinct from v_mailbox)
      order by m.received_at desc limit 1;
    if v_conversation is not null and v_thread is not null then
      update conversations set mailbox_id = v_mailbox, provider_thread_id = v_thread where org_id = v_org and id = v_conversation;
    end if;
  end if;
  if v_conversation is null then
    -- What a person wrote elsewhere from their own mailbox is none of our business.
    if v_ours then return jsonb_build_object('outcome', 'ignored', 'reason', 'own_mail_outside_known_threads'); end if;
    v_known := false;
    v_conversation := (v_ids->>'conversation')::uuid;
    insert into conversations (org_id, id, contact_id, channel, mailbox_id, provider_thread_id, subject, status, last_message_at, last_inbound_at, created_at, updated_at)
      values (v_org, v_conversation, v_contact, v_message->>'channel', v_mailbox, v_thread, coalesce(v_message->>'subject', ''),
              case when v_human then 'open' else 'ignored' end, v_received, v_received, v_now, v_now);
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
      insert into leads (org_id, id, contact_id, conversation_id, source, received_at, custom, request_hash, created_at, updated_at)
        values (v_org, v_lead, v_contact, v_conversation, p->>'source', v_received, coalesce(p->'custom', '{}'), p->>'request_hash', v_now, v_now);
      if v_organization.slack_webhook_sealed is not null or (p->>'slack_configured')::boolean then
        insert into notices (org_id, id, channel, kind, dedupe_key, lead_id, next_attempt_at, created_at)
          values (v_org, (v_ids->>'notice')::uuid, 'slack', 'lead_outcome', 'lead:' || v_lead, v_lead, v_now, v_now);
      end if;
    end if;
    if v_organization.reply_mode <> 'off' and v_contact is not null then
      v_draft := (v_ids->>'draft')::uuid;
      insert into drafts (org_id, id, conversation_id, lead_id, message_id, created_at, updated_at)
        values (v_org, v_draft, v_conversation, v_lead, v_message_id, v_now, v_now);
    end if;
  end if;

  insert into events (org_id, id, type, payload, as_of, created_at)
    select v_org, e.id::uuid, e.type, jsonb_strip_nulls(e.payload), v_now, clock_timestamp() from (values
      (v_ids->>'message_event', 'message.ingested', jsonb_build_object('message_id', v_message_id, 'conversation_id', v_conversation, 'lead_id', v_lead, 'contact_id', v_contact), true),
      (v_ids->>'lead_event', 'lead.created', jsonb_build_object('lead_id', v_lead, 'contact_id', v_contact, 'conversation_id', v_conversation, 'draft_id', v_draft), v_new_lead),
      (v_ids->>'draft_event', 'draft.requested', jsonb_build_object('draft_id', v_draft, 'message_id', v_message_id), v_draft is not null)
    ) e (id, type, payload, wanted) where e.wanted;
  insert into audit_logs (org_id, id, at, actor_type, actor_id, action, entity, entity_id, request_id, ip)
    values (v_org, (v_ids->>'audit')::uuid, v_now, 'system', p->>'actor', case when v_new_lead then 'lead.created' else 'message.ingested' end,
      case when v_new_lead then 'lead' else 'message' end, case when v_new_lead then v_lead else v_message_id end, p->>'request_id', p->>'ip');

  return jsonb_strip_nulls(jsonb_build_object('outcome', 'created', 'org_id', v_org, 'message_id', v_message_id, 'conversation_id', v_conversation,
    'lead_id', v_lead, 'new_lead', v_new_lead, 'draft_id', v_draft, 'send_id', v_send, 'classification', v_class));
exception when unique_violation then
  -- Another delivery of the same message won; it is there.
  return jsonb_build_object('outcome', 'raced');
end $$;

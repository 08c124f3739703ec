-- Mail that is routed to the Worker, or posted by Postmark, names its organization in one of several ways, or in none.

-- Which organization it is for: that of the send that its address names, else the slug's, else that of what it answers, else the
-- one that wrote to its sender lately. Null when nothing tells, or when it would be a guess between two.
-- Definer: the caller has no organization yet. By organization, because that is how the indexes begin.
create or replace function org_by_mail(p_route jsonb) returns uuid
  language plpgsql stable security definer set search_path = public, pg_temp as $$
declare v_orgs uuid[]; v_ids text[];
begin
  -- A person has said so.
  if p_route ? 'org_id' then
    return (select id from organizations where id = (p_route->>'org_id')::uuid);
  end if;
  if p_route ? 'send_id' then
    select array_agg(org_id) into v_orgs from sends where id = (p_route->>'send_id')::uuid;
    if cardinality(v_orgs) = 1 then return v_orgs[1]; end if;
  end if;
  select array_agg(o.id order by s.n) into v_orgs
    from jsonb_array_elements_text(coalesce(p_route->'slugs', '[]')) with ordinality s (slug, n) join organizations o on o.slug = s.slug;
  if cardinality(v_orgs) > 0 then return v_orgs[1]; end if;
  select array_agg(id) into v_ids from jsonb_array_elements_text(coalesce(p_route->'reference_ids', '[]')) r (id);
  if v_ids is not null then
    select array_agg(o.id) into v_orgs from organizations o where
      exists (select from sends s where s.org_id = o.id and s.message_id = any(v_ids)) or
      exists (select from messages m where m.org_id = o.id and m.message_id = any(v_ids));
    if cardinality(v_orgs) = 1 then return v_orgs[1]; end if;
  end if;
  if p_route ? 'sender' then
    -- What goes to people outside; not what we tell our own.
    select array_agg(o.id) into v_orgs from organizations o where exists (
      select from sends s where s.org_id = o.id and s.to_email = p_route->>'sender' and s.kind in ('reply', 'sequence', 'welcome')
        and s.created_at > (p_route->>'at')::timestamptz - interval '30 days');
    if cardinality(v_orgs) = 1 then return v_orgs[1]; end if;
  end if;
  return null;
end $$;
--> statement-breakpoint
grant create on schema public to inlet_system;
--> statement-breakpoint
alter function org_by_mail(jsonb) owner to inlet_system;
--> statement-breakpoint
revoke create on schema public from inlet_system;
--> statement-breakpoint
-- What only the database can judge of a routed mail, before it is taken in. Runs as the caller, inside the organization.
create or replace function judge_routed(p jsonb) returns jsonb language plpgsql stable as $$
declare
  v_org uuid := nullif(current_setting('app.org_id', true), '')::uuid;
  v_from text := p#>>'{message,from_email}';
  v_send record;
  v_doubt jsonb;
begin
  -- From one of our own mailboxes, as the mail says: no lead of ours, and nothing to answer.
  if coalesce(p#>>'{message,classification}', 'human') = 'human' and exists (
      select from mailboxes m where m.org_id = v_org and (m.email_norm = v_from or v_from = any(m.send_as))) then
    v_doubt := jsonb_build_array(jsonb_build_object('rule', 'own_mail', 'passed', false, 'detail', v_from));
    p := jsonb_set(jsonb_set(p, '{message,classification}', '"own"'), '{message,verdicts}', coalesce(p#>'{message,verdicts}', '[]') || v_doubt);
    p := jsonb_set(p, '{message,no_auto_reply}', coalesce(p#>'{message,no_auto_reply}', '[]') || v_doubt);
  end if;
  if p ? 'reply_send_id' then
    select s.message_id, s.to_email, c.email_norm into v_send from sends s
      left join leads l on l.org_id = s.org_id and l.id = s.lead_id
      left join conversations v on v.org_id = s.org_id and v.id = coalesce(s.conversation_id, l.conversation_id)
      left join contacts c on c.org_id = s.org_id and c.id = v.contact_id
      where s.org_id = v_org and s.id = (p->>'reply_send_id')::uuid;
    if not found then return p - 'reply_send_id'; end if;
    -- Whoever has the address can write to it. Somebody else's words stand in the conversation, but not for its contact's.
    if p#>>'{message,classification}' = 'human' and not coalesce(v_from in (v_send.to_email, v_send.email_norm)
        or (not coalesce((p->>'shared_domain')::boolean, false)
          and split_part(v_from, '@', 2) in (split_part(v_send.to_email, '@', 2), split_part(v_send.email_norm, '@', 2))), false) then
      v_doubt := jsonb_build_array(jsonb_build_object('rule', 'reply_sender', 'passed', false, 'detail', 'Not written by whom the conversation is with'));
      p := jsonb_set(p, '{message,verdicts}', coalesce(p#>'{message,verdicts}', '[]') || v_doubt);
      p := jsonb_set(p, '{message,no_auto_reply}', coalesce(p#>'{message,no_auto_reply}', '[]') || v_doubt);
    end if;
    -- A bounce that quotes nothing of ours still came back to the address of one send.
    if p#>>'{message,classification}' = 'bounce' and jsonb_typeof(p->'bounce') = 'object' and not exists (
        select from sends s where s.org_id = v_org and s.message_id = p#>>'{bounce,original_message_id}') then
      p := jsonb_set(p, '{bounce,original_message_id}', to_jsonb(v_send.message_id));
    end if;
  end if;
  return p;
end $$;
--> statement-breakpoint
-- As ingest_many, for items that each name their own organization (`route`). The caller's door shows none.
create or replace function ingest_routed(p_items jsonb) returns jsonb language plpgsql as $$
declare v_item jsonb; v_org uuid; v_result jsonb; v_results jsonb := '[]'; v_state text;
begin
  for v_item in select value from jsonb_array_elements(p_items) loop
    begin
      v_org := org_by_mail(v_item->'route');
      perform set_config('app.org_id', coalesce(v_org::text, ''), true), set_config('app.visibility', 'all', true);
      v_result := case when v_org is null then jsonb_build_object('outcome', 'unknown_organization')
        else ingest_many(jsonb_build_array(judge_routed(v_item)))->0 end;
    exception when data_exception then
      get stacked diagnostics v_state = returned_sqlstate;
      v_result := jsonb_build_object('outcome', 'refused', 'code', v_state, 'where', null);
    end;
    v_results := v_results || v_result;
  end loop;
  perform set_config('app.org_id', '', true);
  return v_results;
end $$;

-- Pauses and reports belong to the installation: which organization's send meets them, its caller says.

-- May a send go over this transport? No row: yes. `paused_until`: not before then. `paused_seconds`: yes, and it is the one that
-- tries, after a pause of so long; the others wait for what it finds.
create or replace function take_transport(p_transport text, p_now timestamptz, p_probe_seconds integer)
  returns table (paused_until timestamptz, paused_seconds double precision)
  language plpgsql volatile security definer set search_path = public, pg_temp as $$
declare v_seconds double precision;
begin
  perform from transport_pauses t where t.transport = p_transport;
  if not found then return; end if;
  update transport_pauses t set paused_until = p_now + p_probe_seconds * interval '1 second'
    where t.transport = p_transport and t.paused_until <= p_now
    returning extract(epoch from p_now - t.paused_at) into v_seconds;
  if found then return query select null::timestamptz, v_seconds; return; end if;
  return query select t.paused_until, null::double precision from transport_pauses t where t.transport = p_transport;
end $$;
--> statement-breakpoint
-- True when it was not paused before. Only the send that tried makes a pause longer: many may fail at the same moment.
create or replace function pause_transport(p_transport text, p_now timestamptz, p_seconds integer, p_failure jsonb, p_probe boolean) returns boolean
  language sql volatile security definer set search_path = public, pg_temp as $$
  insert into transport_pauses as t (transport, paused_until, failure, paused_at)
    values (p_transport, p_now + p_seconds * interval '1 second', p_failure, p_now)
    on conflict (transport) do update set failure = excluded.failure,
      paused_until = case when p_probe then excluded.paused_until else t.paused_until end
    returning xmax = 0
$$;
--> statement-breakpoint
create or replace function resume_transport(p_transport text) returns integer
  language sql volatile security definer set search_path = public, pg_temp as $$
  with gone as (delete from transport_pauses where transport = p_transport returning 1) select count(*)::integer from gone
$$;
--> statement-breakpoint
create or replace function paused_transports() returns table (transport text, paused_at timestamptz, paused_until timestamptz, failure jsonb)
  language sql stable security definer set search_path = public, pg_temp as
$$ select p.transport, p.paused_at, p.paused_until, p.failure from transport_pauses p order by p.transport $$;
--> statement-breakpoint
-- What a report means for its send. Whatever the order and however often: the earliest of each kind counts, a hard bounce
-- before a soft one, and nothing is taken back but the provider's own unsubscription, by what is newer.
-- `waiting`: no send of ours yet. `unsettled`: its send is not known to have left, which this proves.
create or replace function apply_mail_event(p_provider text, p_key text, p_ids jsonb, p_now timestamptz) returns jsonb
  language plpgsql volatile security definer set search_path = public, pg_temp as $$
declare
  e mail_events; s sends; v_effect text; v_reason text; v_changed integer := 0; v_more integer := 0; v_action text;
begin
  select * into e from mail_events m where m.provider = p_provider and m.dedupe_key = p_key for update;
  if not found or e.applied_at is not null then return '{"outcome": "known"}'; end if;
  v_effect := e.detail->>'effect';

  select * into s from sends x where x.id = e.send_id and x.transport = p_provider
    and (e.detail->>'org_id' is null or x.org_id::text = e.detail->>'org_id') for no key update;
  if not found then
    select * into s from sends x where x.provider_message_id = e.provider_message_id and x.transport = 'postmark' and p_provider = 'postmark'
      limit 1 for no key update;
  end if;
  if s.id is null and v_effect <> 'reactivated' then return '{"outcome": "waiting"}'; end if;

  case v_effect
    when 'delivered' then
      v_action := 'send.delivered';
      update sends x set delivered_at = e.occurred_at, updated_at = p_now
        where x.org_id = s.org_id and x.id = s.id and (x.delivered_at is null or x.delivered_at > e.occurred_at);
      get diagnostics v_changed = row_count;
    when 'bounced' then
      v_action := 'send.bounced';
      update sends x set bounced_at = e.occurred_at, bounce = e.detail->'bounce', updated_at = p_now
        where x.org_id = s.org_id and x.id = s.id and (x.bounced_at is null
          or ((e.detail#>>'{bounce,hard}')::boolean, -extract(epoch from e.occurred_at)) > (coalesce((x.bounce->>'hard')::boolean, false), -extract(epoch from x.bounced_at)));
      get diagnostics v_changed = row_count;
      if (e.detail#>>'{bounce,hard}')::boolean then v_reason := 'hard_bounce'; end if;
    when 'complained' then
      v_action := 'send.complained';
      update sends x set complained_at = e.occurred_at, updated_at = p_now
        where x.org_id = s.org_id and x.id = s.id and (x.complained_at is null or x.complained_at > e.occurred_at);
      get diagnostics v_changed = row_count;
      v_reason := 'complaint';
    when 'unsubscribed' then
      v_action := 'send.unsubscribed';
      if not exists (select from mail_events r where r.provider = p_provider and r.kind = 'subscription' and r.recipient = s.to_email
          and r.detail->>'effect' = 'reactivated' and r.occurred_at > e.occurred_at) then
        v_reason := 'unsubscribed_at_provider';
      end if;
    when 'reactivated' then
      v_action := 'send.resubscribed';
      -- It concerns whoever writes to this address through the same account.
      delete from suppressions x using organizations o where x.org_id = o.id and x.kind = 'email' and x.value_norm = coalesce(s.to_email, e.recipient)
        and x.reason = 'unsubscribed_at_provider' and x.created_at < e.occurred_at;
      get diagnostics v_changed = row_count;
    else null;
  end case;

  if v_reason is not null then
    -- What the provider may take back gives way to what it may not.
    insert into suppressions as x (org_id, id, kind, value_norm, reason, created_at)
      values (s.org_id, (p_ids->>'suppression')::uuid, 'email', s.to_email, v_reason, e.occurred_at)
      on conflict (org_id, kind, value_norm) do update set reason = excluded.reason, created_at = excluded.created_at
        where x.reason = 'unsubscribed_at_provider' and (excluded.reason <> x.reason or excluded.created_at > x.created_at);
    get diagnostics v_more = row_count;
  end if;

  if s.id is not null and v_changed + v_more > 0 then
    insert into audit_logs (org_id, id, at, actor_type, actor_id, action, entity, entity_id, fields)
      values (s.org_id, (p_ids->>'audit')::uuid, p_now, 'system', p_provider, v_action, 'send', s.id,
        array_remove(array[case when v_changed > 0 then v_effect end, case when v_more > 0 then 'suppression' end], null));
  end if;

  if s.id is not null and e.provider_message_id is not null and s.state in ('scheduled', 'claimed', 'sending', 'unknown', 'review') then
    return jsonb_build_object('outcome', 'unsettled', 'org_id', s.org_id, 'send_id', s.id, 'provider_message_id', e.provider_message_id, 'state', s.state);
  end if;
  update mail_events m set applied_at = p_now, recipient = case when m.kind = 'subscription' then coalesce(s.to_email, m.recipient) end
    where m.provider = p_provider and m.dedupe_key = p_key;
  return '{"outcome": "applied"}';
end $$;
--> statement-breakpoint
create or replace function record_mail_event(p jsonb) returns jsonb
  language plpgsql volatile security definer set search_path = public, pg_temp as $$
begin
  insert into mail_events (provider, dedupe_key, kind, send_id, provider_message_id, recipient, detail, occurred_at, created_at)
    values (p->>'provider', p->>'dedupe_key', p->>'kind', (p->>'send_id')::uuid, p->>'provider_message_id', p->>'recipient', p->'detail',
      (p->>'occurred_at')::timestamptz, (p->>'now')::timestamptz)
    on conflict (provider, dedupe_key) do nothing;
  return apply_mail_event(p->>'provider', p->>'dedupe_key', p->'ids', (p->>'now')::timestamptz);
end $$;
--> statement-breakpoint
grant create on schema public to inlet_system;
--> statement-breakpoint
alter function take_transport(text, timestamptz, integer) owner to inlet_system;
--> statement-breakpoint
alter function pause_transport(text, timestamptz, integer, jsonb, boolean) owner to inlet_system;
--> statement-breakpoint
alter function resume_transport(text) owner to inlet_system;
--> statement-breakpoint
alter function paused_transports() owner to inlet_system;
--> statement-breakpoint
alter function apply_mail_event(text, text, jsonb, timestamptz) owner to inlet_system;
--> statement-breakpoint
alter function record_mail_event(jsonb) owner to inlet_system;
--> statement-breakpoint
revoke create on schema public from inlet_system;

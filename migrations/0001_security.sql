-- Roles, row-level security and append-only rules. Forward only.
do $$ begin
  if not exists (select from pg_roles where rolname = 'inlet_app') then create role inlet_app nologin nosuperuser nobypassrls; end if;
  if not exists (select from pg_roles where rolname = 'inlet_system') then create role inlet_system nologin nosuperuser nobypassrls; end if;
  -- The migrating owner has to be able to hand functions over to inlet_system; it inherits nothing from it.
  execute format('grant inlet_app, inlet_system to %I with inherit false, set true', current_user);
end $$;
--> statement-breakpoint
grant usage on schema public to inlet_app, inlet_system;
--> statement-breakpoint
-- Called at the end of every migration that adds a table. Enabled AND forced, so that not even the owner reads past it.
create or replace function secure_tables() returns void language plpgsql as $$
declare t record; has_org boolean; org_column text;
begin
  for t in select c.oid, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where n.nspname = 'public' and c.relkind in ('r', 'p') loop
    execute format('alter table public.%I enable row level security', t.relname);
    execute format('alter table public.%I force row level security', t.relname);
    execute format('drop policy if exists system_all on public.%I', t.relname);
    execute format('create policy system_all on public.%I for all to inlet_system using (true) with check (true)', t.relname);
    execute format('grant select, insert, update, delete on public.%I to inlet_system', t.relname);
    org_column := case when t.relname = 'organizations' then 'id' else 'org_id' end;
    has_org := exists (select from pg_attribute a where a.attrelid = t.oid and a.attname = org_column and not a.attisdropped);
    if has_org then
      execute format('drop policy if exists org_isolation on public.%I', t.relname);
      execute format('create policy org_isolation on public.%I for all to inlet_app'
        ' using (%I = (select nullif(current_setting(''app.org_id'', true), '''')::uuid))'
        ' with check (%I = (select nullif(current_setting(''app.org_id'', true), '''')::uuid))', t.relname, org_column, org_column);
      execute format('grant select, insert, update, delete on public.%I to inlet_app', t.relname);
    end if;
  end loop;
  -- The organization's own row is changed, never made or removed, from inside it.
  revoke insert, delete on organizations from inlet_app;
  -- Append-only for every role of the product.
  revoke update, delete, truncate on audit_logs, audit_chain from inlet_app, inlet_system;
end $$;
--> statement-breakpoint
revoke execute on function secure_tables() from public;
--> statement-breakpoint
select secure_tables();
--> statement-breakpoint
create or replace function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = '42501';
end $$;
--> statement-breakpoint
create trigger audit_logs_append_only before update or delete on audit_logs for each row execute function refuse_change();
--> statement-breakpoint
create trigger audit_logs_no_truncate before truncate on audit_logs for each statement execute function refuse_change();
--> statement-breakpoint
create trigger audit_chain_append_only before update or delete on audit_chain for each row execute function refuse_change();
--> statement-breakpoint
create trigger audit_chain_no_truncate before truncate on audit_chain for each statement execute function refuse_change();

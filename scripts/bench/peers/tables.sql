-- The peers' three tables, in the product's database and under its row-level security, with the keys and indexes that such
-- tables need. The product itself writes more rows for a lead than these.
create table bench_tokens (
  org_id uuid not null, id uuid not null, hash text not null, revoked_at timestamptz,
  primary key (org_id, id)
);
create table bench_contacts (
  org_id uuid not null, id uuid not null, email text not null, email_norm text not null,
  name text, company text, phone text, created_at timestamptz not null,
  primary key (org_id, id), unique (org_id, email_norm)
);
create table bench_leads (
  org_id uuid not null, id uuid not null, contact_id uuid not null, source text not null, status text not null,
  service text, message text, page_url text, custom jsonb not null, received_at timestamptz not null,
  primary key (org_id, id),
  foreign key (org_id, contact_id) references bench_contacts (org_id, id) on delete cascade
);
create index bench_leads_recent on bench_leads (org_id, received_at desc, id desc);
create table bench_events (
  org_id uuid not null, id uuid not null, type text not null, payload jsonb not null, created_at timestamptz not null,
  primary key (org_id, id)
);
select secure_tables();

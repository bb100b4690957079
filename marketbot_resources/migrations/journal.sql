-- Where it is noted which numbered files were applied. Run before them each time; it ends as ledger_owner, who notes.

do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'ledger_owner') then
    begin
      create role ledger_owner nologin;
    exception when duplicate_object or unique_violation then
      null;  -- roles belong to the cluster: another database's installation came first
    end;
  end if;
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    grant ledger_owner to current_user;  -- taken back at the end
  end if;
end
$$;

create schema if not exists marketbot authorization ledger_owner;
do $$
begin
  if exists (select from pg_catalog.pg_namespace where nspname = 'marketbot' and nspowner <> 'ledger_owner'::regrole) then
    raise exception 'expected a schema marketbot that belongs to ledger_owner, found another owner; use an empty database';
  end if;
end
$$;
set local role ledger_owner;

create table if not exists marketbot.schema_migrations (
  number integer primary key check (number > 0),
  name text not null,
  sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  at timestamptz not null default now()
);

create or replace function marketbot.refuse() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'MB002', message = format('append only: %s on %s is refused', tg_op, tg_table_name);
end
$$;
create or replace trigger stays before update or delete or truncate on marketbot.schema_migrations
  for each statement execute function marketbot.refuse();
alter table marketbot.schema_migrations enable always trigger stays;
revoke all on function marketbot.refuse() from public;
grant usage on schema marketbot to public;
grant select on marketbot.schema_migrations to public;

-- The store's index: which object is the newest of (asset, partition), and what each body as received is.
--
-- index_owner   owns it and cannot log in
-- index_writer  reads, and calls add_versions and add_bodies: nothing else
-- index_reader  reads

do $$
declare
  role_name text;
  login text;
begin
  for role_name, login in values ('index_owner', 'nologin'), ('index_writer', 'login'), ('index_reader', 'login') loop
    if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
      begin
        execute format('create role %I %s', role_name, login);
      exception when duplicate_object or unique_violation then
        null;  -- roles belong to the cluster: another database's installation came first
      end;
    end if;
  end loop;
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    grant index_owner to current_user;  -- taken back at the end
  end if;
end
$$;

create schema store authorization index_owner;
set local role index_owner;

-- One row. Whoever adds locks it first, so that numbers follow the order of commits: who reads on from a number misses nothing.
create table store.head (
  only_row boolean primary key default true check (only_row),
  versions bigint not null default 0,
  bodies bigint not null default 0
);
insert into store.head default values;

create table store.lake_index (
  seq bigint primary key check (seq > 0),
  asset text collate "C" not null,
  part text collate "C" not null,
  file_sha256 text collate "C" not null,
  content_sha256 text collate "C" not null,
  uri text not null,
  rows bigint not null check (rows >= 0),
  bytes bigint not null check (bytes >= 0),
  schema_sha256 text not null,
  manifest_sha256 text collate "C" not null,
  run_id text not null,
  code_version text not null,
  written_at text not null
);
create index lake_index_newest on store.lake_index (asset, part, seq);
create index lake_index_parts on store.lake_index (part, asset, seq);

create table store.blob_index (
  seq bigint primary key check (seq > 0),
  blob_sha256 text collate "C" not null,
  provider text not null,
  url text not null,
  status bigint not null,
  content_type text not null,
  bytes bigint not null check (bytes >= 0),
  fetched_at text not null,
  run_id text not null,
  asset text collate "C" not null,
  part text collate "C" not null
);
create index blob_index_name on store.blob_index (blob_sha256);
create index blob_index_parts on store.blob_index (asset, part, seq);

-- Arrays of equal length, one element per row, in the order of the numbers that they get; all or nothing.
create function store.add_versions(
  asset text[], part text[], file_sha256 text[], content_sha256 text[], uri text[], rows bigint[], bytes bigint[],
  schema_sha256 text[], manifest_sha256 text[], run_id text[], code_version text[], written_at text[]
) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  first bigint;
begin
  select h.versions into strict first from store.head h for update;
  insert into store.lake_index
  select first + u.place, u.a, u.b, u.c, u.d, u.e, u.f, u.g, u.h, u.i, u.j, u.k, u.l
  from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) with ordinality as u (a, b, c, d, e, f, g, h, i, j, k, l, place);
  update store.head h set versions = first + cardinality($1) where cardinality($1) > 0;
  return first + cardinality($1);
end
$$;

create function store.add_bodies(
  blob_sha256 text[], provider text[], url text[], status bigint[], content_type text[], bytes bigint[],
  fetched_at text[], run_id text[], asset text[], part text[]
) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  first bigint;
begin
  select h.bodies into strict first from store.head h for update;
  insert into store.blob_index
  select first + u.place, u.a, u.b, u.c, u.d, u.e, u.f, u.g, u.h, u.i, u.j
  from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) with ordinality as u (a, b, c, d, e, f, g, h, i, j, place);
  update store.head h set bodies = first + cardinality($1) where cardinality($1) > 0;
  return first + cardinality($1);
end
$$;

-- SQLSTATE MB002: a change of what is only added to.
create function store.refuse() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'MB002', message = format('append only: %s on %s is refused', tg_op, tg_table_name);
end
$$;

create function store.count() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if new.versions >= old.versions and new.bodies >= old.bodies
    and new.versions = (select coalesce(max(i.seq), 0) from store.lake_index i)
    and new.bodies = (select coalesce(max(i.seq), 0) from store.blob_index i)
  then
    return new;
  end if;
  raise exception using errcode = 'MB002',
    message = format('append only: sizes %s and %s after %s and %s are refused', new.versions, new.bodies, old.versions, old.bodies);
end
$$;

create trigger stays before update or delete or truncate on store.lake_index for each statement execute function store.refuse();
create trigger stays before update or delete or truncate on store.blob_index for each statement execute function store.refuse();
create trigger stays before delete or truncate on store.head for each statement execute function store.refuse();
create trigger grows before update on store.head for each row execute function store.count();
alter table store.lake_index enable always trigger stays;  -- also where replication is played back
alter table store.blob_index enable always trigger stays;
alter table store.head enable always trigger stays;
alter table store.head enable always trigger grows;

revoke all on all functions in schema store from public;
grant usage on schema store to index_writer, index_reader;
grant select on all tables in schema store to index_writer, index_reader;
grant execute on function
  store.add_versions(text[], text[], text[], text[], text[], bigint[], bigint[], text[], text[], text[], text[], text[]),
  store.add_bodies(text[], text[], text[], bigint[], text[], bigint[], text[], text[], text[], text[]) to index_writer;

reset role;
do $$
begin
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    revoke index_owner from current_user;
  end if;
end
$$;

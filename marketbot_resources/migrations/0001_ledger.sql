-- The ledger in PostgreSQL, version 1 of its schema, as it was first released. An administrator runs it who may create roles, and a
-- schema in this database.
--
-- ledger_owner   owns everything and cannot log in
-- ledger_writer  reads, and calls append, append_all and keep_checkpoint: nothing else
-- ledger_reader  reads

select pg_advisory_xact_lock(7214920263811);

do $$
declare
  role_name text;
  login text;
begin
  for role_name, login in values ('ledger_owner', 'nologin'), ('ledger_writer', 'login'), ('ledger_reader', 'login') loop
    if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
      begin
        execute format('create role %I %s', role_name, login);
      exception when duplicate_object or unique_violation then
        null;  -- roles belong to the cluster: another database's installation came first
      end;
    end if;
  end loop;
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    grant ledger_owner to current_user;  -- taken back at the end
  end if;
end
$$;

create schema if not exists ledger authorization ledger_owner;
do $$
begin
  if exists (select from pg_catalog.pg_namespace where nspname = 'ledger' and nspowner <> 'ledger_owner'::regrole) then
    raise exception 'expected a schema ledger that belongs to ledger_owner, found another owner; use an empty database';
  end if;
end
$$;
set local role ledger_owner;

create table if not exists ledger.version (version integer primary key, installed_at timestamptz not null default now());

do $$
begin
  if (select max(v.version) from ledger.version v) > 1 then
    raise exception 'expected a ledger of schema version 1, found a later one; use the marketbot that made it';
  end if;
end
$$;

insert into ledger.version (version) values (1) on conflict do nothing;

-- One row. Whoever appends locks it first, so that numbers follow the order of commits without gaps.
create table if not exists ledger.head (
  only_row boolean primary key default true check (only_row),
  size bigint not null
);
insert into ledger.head (size) values (0) on conflict do nothing;

-- `record` is canonical JSON: an object of body, key and kind in this order, so it is known how it begins and ends. Its fields are
-- not looked up, because PostgreSQL does not read every text that JSON allows.
create table if not exists ledger.entry (
  seq bigint primary key check (seq >= 0),
  kind text collate "C" not null,
  key text collate "C" not null,
  record bytea not null check (octet_length(record) <= 65535),
  leaf bytea not null,
  unique (kind, key),
  constraint leaf_is_of_record check (leaf = sha256('\x00'::bytea || record)),
  constraint record_is_json check (convert_from(record, 'UTF8')::json is not null),
  constraint record_has_a_body check (starts_with(convert_from(record, 'UTF8'), '{"body":{')),
  constraint record_has_key_and_kind check (
    right(convert_from(record, 'UTF8'), length(',"key":' || to_json(key)::text || ',"kind":' || to_json(kind)::text || '}'))
    = ',"key":' || to_json(key)::text || ',"kind":' || to_json(kind)::text || '}'
  )
);

create table if not exists ledger.node (
  level integer not null check (level > 0),
  place bigint not null check (place >= 0),
  hash bytea not null check (octet_length(hash) = 32),
  primary key (level, place)
);

create table if not exists ledger.checkpoint (size bigint primary key check (size >= 0), note text not null);

-- SQLSTATE MB001: the same key with other contents. MB002: a change of what is only added to.
-- Appends in the order of the arrays, all or nothing.
create or replace function ledger.append_all(kinds text[], keys text[], records bytea[])
returns table (seq bigint, leaf bytea, added boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  first bigint;
  number bigint;
  given record;
  known ledger.entry%rowtype;
  height integer;
  spot bigint;
  sibling bytea;
  digest bytea;
begin
  select h.size into strict first from ledger.head h for update;
  number := first;
  for given in
    select u.kind, u.key, u.data from unnest(kinds, keys, records) with ordinality as u (kind, key, data, place) order by u.place
  loop
    select e.* into known from ledger.entry e where e.kind = given.kind and e.key = given.key;
    if found then
      if known.record is distinct from given.data then
        raise exception using errcode = 'MB001',
          message = format('%s %s exists with another body; the ledger is never rewritten', given.kind, given.key);
      end if;
      seq := known.seq;
      leaf := known.leaf;
      added := false;
      return next;
      continue;
    end if;
    digest := sha256('\x00'::bytea || given.data);
    insert into ledger.entry values (number, given.kind, given.key, given.data, digest);
    seq := number;
    leaf := digest;
    added := true;
    return next;
    height := 0;
    spot := number;
    while spot & 1 = 1 loop  -- a subtree became complete
      if height = 0 then
        select e.leaf into sibling from ledger.entry e where e.seq = spot - 1;
      else
        select n.hash into sibling from ledger.node n where n.level = height and n.place = spot - 1;
      end if;
      if sibling is null then
        raise exception 'expected node % of level %, found none; run `marketbot verify`', spot - 1, height;
      end if;
      digest := sha256('\x01'::bytea || sibling || digest);
      height := height + 1;
      spot := spot >> 1;
      insert into ledger.node values (height, spot, digest);
    end loop;
    number := number + 1;
  end loop;
  if number > first then
    update ledger.head h set size = number;
  end if;
end
$$;

create or replace function ledger.append(kind text, key text, record bytea) returns table (seq bigint, leaf bytea, added boolean)
language sql security definer set search_path = pg_catalog, pg_temp as $$
  select * from ledger.append_all(array[$1], array[$2], array[$3]);
$$;

create or replace function ledger.keep_checkpoint(new_size bigint, new_note text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into ledger.checkpoint values (new_size, new_note) on conflict do nothing;
  if (select c.note from ledger.checkpoint c where c.size = new_size) <> new_note then
    raise exception using errcode = 'MB001', message = format('a checkpoint of size %s exists with another text', new_size);
  end if;
end
$$;

create or replace function ledger.refuse() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'MB002', message = format('append only: %s on %s is refused', tg_op, tg_table_name);
end
$$;

create or replace function ledger.count() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if new.size > old.size and new.size = (select max(e.seq) + 1 from ledger.entry e) then
    return new;
  end if;
  raise exception using errcode = 'MB002', message = format('append only: size %s after %s is refused', new.size, old.size);
end
$$;

do $$
declare
  name text;
begin
  foreach name in array array['version', 'entry', 'node', 'checkpoint'] loop
    execute format(
      'create or replace trigger stays before update or delete or truncate on ledger.%I
       for each statement execute function ledger.refuse()', name);
  end loop;
  foreach name in array array['version', 'entry', 'node', 'checkpoint', 'head'] loop
    if name = 'head' then
      create or replace trigger stays before delete or truncate on ledger.head
        for each statement execute function ledger.refuse();
      create or replace trigger grows before update on ledger.head for each row execute function ledger.count();
      alter table ledger.head enable always trigger grows;
    end if;
    execute format('alter table ledger.%I enable always trigger stays', name);  -- also where replication is played back
  end loop;
end
$$;

revoke all on all functions in schema ledger from public;
grant usage on schema ledger to ledger_writer, ledger_reader;
grant select on all tables in schema ledger to ledger_writer, ledger_reader;
grant execute on function
  ledger.append_all(text[], text[], bytea[]), ledger.append(text, text, bytea), ledger.keep_checkpoint(bigint, text) to ledger_writer;

reset role;

-- What was there before must not be a trap: another owner of a part, or a role with more power than it should have.
do $$
begin
  if exists (
    select from pg_catalog.pg_roles
    where rolname in ('ledger_owner', 'ledger_writer', 'ledger_reader')
      and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls or rolname = 'ledger_owner' and rolcanlogin)
  ) then
    raise exception 'expected ledger roles without powers and an owner that cannot log in, found others; alter or drop the roles';
  end if;
  if exists (
    select from pg_catalog.pg_auth_members m join pg_catalog.pg_roles r on r.oid = m.member
    where r.rolname in ('ledger_writer', 'ledger_reader')
  ) then
    raise exception 'expected ledger_writer and ledger_reader in no other role, found a membership; revoke it';
  end if;
  if exists (select from pg_catalog.pg_class where relnamespace = 'ledger'::regnamespace and relowner <> 'ledger_owner'::regrole)
    or exists (select from pg_catalog.pg_proc where pronamespace = 'ledger'::regnamespace and proowner <> 'ledger_owner'::regrole)
  then
    raise exception 'expected all of schema ledger to belong to ledger_owner, found another owner; use an empty database';
  end if;
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    revoke ledger_owner from current_user;
  end if;
end
$$;

-- Run after the numbered files, each time: what was there before must not be a trap, another owner of a part or a role with more power
-- than it should have. A halt row that was deleted comes back, off: without one it cannot be read, which halts.

do $$
declare
  part record;
begin
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    grant ledger_owner to current_user;  -- taken back at the end
  end if;
  for part in select * from (values ('ledger'), ('store')) as p (place) loop
    if not exists (select from pg_catalog.pg_namespace where nspname = part.place) then
      raise exception 'expected schema %, which was installed here, found none; restore the database, or use a new one', part.place;
    end if;
  end loop;
  if exists (
    select from pg_catalog.pg_roles
    where rolname in ('ledger_owner', 'ledger_writer', 'ledger_reader', 'index_owner', 'index_writer', 'index_reader')
      and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls
        or rolname in ('ledger_owner', 'index_owner') and rolcanlogin)
  ) then
    raise exception 'expected ledger and index roles without powers and owners that cannot log in, found others; alter or drop the roles';
  end if;
  if exists (
    select from pg_catalog.pg_roles where rolname = 'marketbot_halt'
      and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)
  ) then
    raise exception 'expected marketbot_halt without powers, found another role; alter or drop it';
  end if;
  for part in
    select r.rolname from pg_catalog.pg_auth_members m join pg_catalog.pg_roles r on r.oid = m.member
    where r.rolname in ('ledger_writer', 'ledger_reader', 'index_writer', 'index_reader', 'marketbot_halt') order by 1
  loop
    raise exception 'expected % in no other role, found a membership; revoke it', part.rolname;
  end loop;
  for part in select * from (values ('marketbot', 'ledger_owner'), ('ledger', 'ledger_owner'), ('store', 'index_owner')) as p (place, owner) loop
    if exists (select from pg_catalog.pg_namespace where nspname = part.place and nspowner <> part.owner::regrole) then
      raise exception 'expected a schema % that belongs to %, found another owner; use an empty database', part.place, part.owner;
    end if;
    if exists (select from pg_catalog.pg_class where relnamespace = part.place::regnamespace and relowner <> part.owner::regrole)
      or exists (select from pg_catalog.pg_proc where pronamespace = part.place::regnamespace and proowner <> part.owner::regrole)
    then
      raise exception 'expected all of schema % to belong to %, found another owner; use an empty database', part.place, part.owner;
    end if;
  end loop;
  set local role ledger_owner;
  insert into ledger.halt (only_row) values (true) on conflict do nothing;
  reset role;
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    revoke ledger_owner from current_user;
  end if;
end
$$;

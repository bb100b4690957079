-- The halt row (RC-80) beside the log, in the ledger's schema; a row that an earlier release has made stays as it is. Whoever runs the
-- database halts trading by one line:
--
--   update ledger.halt set level = 'halt', reason = 'why';
--
-- marketbot_halt  reads and sets the row, and nothing else; ledger_writer and ledger_reader read it

do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'marketbot_halt') then
    begin
      create role marketbot_halt login;
    exception when duplicate_object or unique_violation then
      null;  -- roles belong to the cluster: another database's installation came first
    end;
  end if;
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    grant ledger_owner to current_user;  -- taken back at the end
  end if;
end
$$;

set local role ledger_owner;

-- `level` is not checked: a word that no one knows halts, and a refused update would not.
create table if not exists ledger.halt (
  only_row boolean primary key default true check (only_row),
  level text not null default 'off',
  reason text not null default '',
  set_by text not null default session_user,
  set_at timestamptz not null default now()
);
insert into ledger.halt (only_row) values (true) on conflict do nothing;

create or replace function ledger.note_halt() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  new.set_by := session_user;
  new.set_at := now();
  return new;
end
$$;
create or replace trigger notes before update on ledger.halt for each row execute function ledger.note_halt();

revoke all on function ledger.note_halt() from public;
grant usage on schema ledger to marketbot_halt;
grant select, update (level, reason) on ledger.halt to marketbot_halt;
grant select on ledger.halt to ledger_writer, ledger_reader;

reset role;

do $$
begin
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    revoke ledger_owner from current_user;
  end if;
end
$$;

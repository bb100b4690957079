-- Version 2 of the ledger's schema: appends under a fencing token. SQLSTATE MB003: a token that is not the newest.

do $$
begin
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    grant ledger_owner to current_user;  -- taken back at the end
  end if;
end
$$;
set local role ledger_owner;

insert into ledger.version (version) values (2);

-- As append_all, for the holder of the newest token of an account alone: tokens are entries of kind sending_fence without gaps.
create or replace function ledger.append_fenced(account text, token bigint, kinds text[], keys text[], records bytea[])
returns table (seq bigint, leaf bytea, added boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform from ledger.head h for update;
  if not exists (select from ledger.entry e where e.kind = 'sending_fence' and e.key = account || '/' || token)
    or exists (select from ledger.entry e where e.kind = 'sending_fence' and e.key = account || '/' || (token + 1))
  then
    raise exception using errcode = 'MB003',
      message = format('token %s of account %s is not the newest; another run sends its orders', token, account);
  end if;
  return query select * from ledger.append_all(kinds, keys, records);
end
$$;

revoke all on function ledger.append_fenced(text, bigint, text[], text[], bytea[]) from public;
grant execute on function ledger.append_fenced(text, bigint, text[], text[], bytea[]) to ledger_writer;

reset role;
do $$
begin
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    revoke ledger_owner from current_user;
  end if;
end
$$;

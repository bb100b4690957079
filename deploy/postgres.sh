#!/bin/sh
# Starts PostgreSQL as this user in /data; the first time it makes the cluster with the password of the secret `postgres_password`.
set -eu
secret=/run/secrets/postgres_password
data=/data/cluster
if [ ! -s "$data/PG_VERSION" ]; then
  [ -r "$secret" ] || { echo "postgres: expected the secret $secret, found none; run deploy/setup.py" >&2; exit 78; }
  rm -rf "$data.new"
  initdb -D "$data.new" -U postgres -E UTF8 --locale=C --auth-local=reject --auth-host=scram-sha-256 --pwfile="$secret" >/dev/null
  echo "host all all 0.0.0.0/0 scram-sha-256" >> "$data.new/pg_hba.conf"
  mv "$data.new" "$data"
fi
# Little memory, nothing less durable: fsync, full_page_writes and synchronous_commit stay on.
exec postgres -D "$data" --listen_addresses='*' --unix_socket_directories=/tmp --timezone=UTC --shared_buffers=32MB --work_mem=2MB \
  --maintenance_work_mem=32MB --max_connections=40 --max_wal_size=256MB --max_parallel_workers=0 --dynamic_shared_memory_type=mmap \
  --password_encryption=scram-sha-256 --logging_collector=off

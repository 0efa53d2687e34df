#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -1)
[ -n "$bin" ] || { echo "no postgresql"; exit 1; }
data=/srv/postgresql
mkdir -p "$data" /run/postgresql && chown postgres:postgres "$data" /run/postgresql
as() { runuser -u postgres -- "$@"; }
cd /
as "$bin/initdb" -D "$data/main" >/dev/null
for _ in 1 2; do
    as "$bin/pg_ctl" -D "$data/main" -o '-p 5432 -c listen_addresses=127.0.0.1' -l "$data/log" -w start
    as psql -q <<'SQL'
CREATE TABLE IF NOT EXISTS orders (id serial PRIMARY KEY, what text);
INSERT INTO orders (what) SELECT 'order ' || n FROM generate_series(1, 500) n;
VACUUM ANALYZE orders;
SQL
    as psql -At -c 'SELECT count(*) FROM orders'
    as pg_dump -Fc postgres >/var/backups/postgres.dump
    as pg_dumpall >/var/backups/postgres.sql
    as "$bin/pg_ctl" -D "$data/main" reload
    as "$bin/pg_ctl" -D "$data/main" -w -m fast stop
done
as "$bin/pg_ctl" -D "$data/main" -o '-p 5432 -c listen_addresses=127.0.0.1' -l "$data/log" -w start
as createdb copy
as pg_restore -d copy /var/backups/postgres.dump
as "$bin/pg_basebackup" -D "$data/copy" -c fast
as "$bin/pg_ctl" -D "$data/main" -w -m fast stop

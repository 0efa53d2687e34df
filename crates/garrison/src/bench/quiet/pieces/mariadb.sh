#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

data=/srv/mariadb
mkdir -p /run/mysqld "$data" && chown mysql:mysql /run/mysqld "$data"
mariadb-install-db --no-defaults --user=mysql --datadir="$data" --skip-test-db >/dev/null
socket=/run/mysqld/quiet.sock
for _ in 1 2; do
    mariadbd --no-defaults --user=mysql --datadir="$data" --socket="$socket" --pid-file=/run/mysqld/quiet.pid \
        --bind-address=127.0.0.1 --port=3306 --log-error=/srv/mariadb/error.log &
    daemon=$!
    poll 60 mariadb-admin --no-defaults --socket="$socket" ping
    mariadb --no-defaults --socket="$socket" <<'SQL'
CREATE DATABASE IF NOT EXISTS shop;
USE shop;
CREATE TABLE IF NOT EXISTS orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(40));
INSERT INTO orders (what) VALUES ('one'), ('two'), ('three');
CREATE USER IF NOT EXISTS shop@localhost IDENTIFIED BY 'example';
GRANT ALL ON shop.* TO shop@localhost;
SELECT COUNT(*) FROM orders;
SQL
    mariadb-dump --no-defaults --socket="$socket" --all-databases --single-transaction | gzip >/var/backups/mariadb.sql.gz
    mariadb-check --no-defaults --socket="$socket" shop
    mariadb --no-defaults --socket="$socket" -e "SELECT * FROM shop.orders INTO OUTFILE '$data/orders.txt'"
    rm -f "$data/orders.txt"
    mariadb-admin --no-defaults --socket="$socket" shutdown
    wait "$daemon"
done
zcat /var/backups/mariadb.sql.gz | sed -n 1,3p

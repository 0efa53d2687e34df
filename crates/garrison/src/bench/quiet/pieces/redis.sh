#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -p /run/redis /srv/redis && chown redis:redis /run/redis /srv/redis
cat >/etc/redis/quiet.conf <<'CONF'
port 6379
bind 127.0.0.1
dir /srv/redis
dbfilename dump.rdb
pidfile /run/redis/quiet.pid
daemonize yes
logfile /var/log/redis-quiet.log
save 1 1
appendonly yes
CONF
touch /var/log/redis-quiet.log && chown redis /var/log/redis-quiet.log
for round in 1 2; do
    runuser -u redis -- redis-server /etc/redis/quiet.conf
    poll 10 redis-cli ping
    seq 1 500 | awk '{ print "SET key" $1 " " $1 }' | redis-cli --pipe
    redis-cli bgsave
    redis-cli bgrewriteaof
    redis-cli info server | head -3
    redis-cli --rdb "/var/backups/redis.$round.rdb"
    poll 10 sh -c 'redis-cli info persistence | grep -q rdb_bgsave_in_progress:0'
    daemon=$(cat /run/redis/quiet.pid)
    redis-cli shutdown
    gone 10 "$daemon"
done
cp -a /srv/redis /var/backups/redis

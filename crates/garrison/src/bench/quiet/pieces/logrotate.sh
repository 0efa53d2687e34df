#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -p /var/log/shop
for name in access error; do
    seq 1 20000 >"/var/log/shop/$name.log"
done
seq 1 3000 >/var/log/copied.log
seq 1 100 >/var/log/shopd.log
cat >/etc/logrotate.d/shop <<'CONF'
/var/log/shop/*.log {
    daily
    rotate 3
    compress
    delaycompress
    missingok
    create 0640 root adm
    sharedscripts
    postrotate
        test -d /run && touch /run/shop.rotated
    endscript
}
/var/log/copied.log {
    size 1k
    rotate 1
    copytruncate
    compress
}
/var/log/shopd.log {
    rotate 2
    compress
    size 10
    create
}
CONF
for _ in 1 2 3 4 5; do
    logrotate --force --state /var/lib/logrotate/quiet.status /etc/logrotate.d/shop
    for name in access error; do
        seq 1 1000 >>"/var/log/shop/$name.log"
    done
    seq 1 3000 >>/var/log/copied.log
    seq 1 100 >>/var/log/shopd.log
done
zcat /var/log/shop/access.log.2.gz | tail -1
ls -l /var/log/shop
# What Debian runs every day.
if [ -x /etc/cron.daily/logrotate ]; then /etc/cron.daily/logrotate || true; fi

#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

echo '* * * * * root date >/var/log/minute.log; /usr/bin/uptime >>/var/log/minute.log' >/etc/cron.d/minute
printf '%s\n' '* * * * * echo hello | tee /home/dana/minute >/dev/null; find /home/dana -name "*.bak" -delete' | crontab -u dana -
crontab -u dana -l
cron -f &
daemon=$!
poll 80 test -s /var/log/minute.log -a -s /home/dana/minute
crontab -u dana -r
rm /etc/cron.d/minute
kill "$daemon"
wait "$daemon" || true

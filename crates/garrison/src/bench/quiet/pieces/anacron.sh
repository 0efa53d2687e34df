#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -p /usr/local/lib/jobs
cat >/usr/local/lib/jobs/tidy <<'P'
#!/bin/sh
find /var/tmp -xdev -name 'never-there-*' -mtime +7 -delete
df -P / | tail -1
P
cat >/usr/local/lib/jobs/report.py <<'P'
#!/usr/bin/env python3
import os, subprocess
print(os.getloadavg(), subprocess.run(["uptime"], capture_output=True, text=True).stdout)
P
chmod +x /usr/local/lib/jobs/*
# What is due now, run by anacron as after a night switched off.
cat >/root/anacrontab <<'CONF'
SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin
1 0 tidy /usr/local/lib/jobs/tidy
1 0 report /usr/local/lib/jobs/report.py >>/var/log/report.log
7 0 weekly nice run-parts --report /etc/cron.quiet
CONF
mkdir -p /etc/cron.quiet
cat >/etc/cron.quiet/backup <<'P'
#!/bin/sh
set -e
tar -cf /var/backups/passwd.tar -C / etc/passwd etc/group
gzip -f /var/backups/passwd.tar
P
chmod +x /etc/cron.quiet/backup
anacron -d -f -n -t /root/anacrontab -S /var/spool/anacron
# Debian's own daily jobs.
for job in dpkg logrotate; do
    if [ -x "/etc/cron.daily/$job" ]; then env -i PATH="$PATH" HOME=/root "/etc/cron.daily/$job" || true; fi
done

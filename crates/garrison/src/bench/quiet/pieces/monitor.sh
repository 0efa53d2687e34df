#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

as() { runuser -u watcher -- "$@"; }
for _ in 1 2 3; do
    as ps -eo pid,ppid,user,pcpu,pmem,args --sort=-pcpu | head -5 || true
    as ss -tulnp | head -5
    as df -P
    as free -m
    as uptime
    as who
    ss -s
    lsof -nP -iTCP -sTCP:LISTEN | head -5 || true
done
netstat -tlnp 2>/dev/null | head -5 || true
vmstat 1 2 || true
lsof -p $$ | tail -2
top -b -n 1 | head -5 || true
ip -s link
cat /proc/loadavg /proc/meminfo | head -5
dmesg | tail -1 || true
journalctl -n 1 --no-pager 2>/dev/null || true
last -n 1 || true
# A plug-in as monitoring daemons run them.
mkdir -p /usr/local/lib/checks
cat >/usr/local/lib/checks/check_load <<'P'
#!/usr/bin/perl
open my $f, '<', '/proc/loadavg'; my ($one) = split ' ', <$f>;
print "load $one\n"; exit($one > 1000 ? 2 : 0);
P
cat >/usr/local/lib/checks/check_processes <<'P'
#!/bin/sh
count=$(ps -e | wc -l)
echo "processes $count | n=$count"
P
chmod +x /usr/local/lib/checks/*
for check in /usr/local/lib/checks/*; do as "$check"; done
# A developer looks into what is theirs.
as strace -f -o /home/watcher/trace sh -c 'ls / >/dev/null'
# shellcheck disable=SC2016
as sh -c 'sleep 20 & pid=$!; timeout 2 strace -p $pid -o /dev/null; gdb -batch -nx -p $pid -ex bt 2>/dev/null | tail -1; kill $pid' || true
perf stat -e task-clock true 2>&1 | tail -3 || true
perf record -q -o /root/perf.data -- sh -c 'seq 1 20000 | sort -n | tail -1' 2>/dev/null || true
perf report -i /root/perf.data --stdio 2>/dev/null | head -5 || true

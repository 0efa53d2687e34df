#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# An administrator looks for the cause of a slow host, signed in, with what there is for it.
dir=/root/watch-sshd
mkdir -p "$dir"
key_of ops "$dir/key"
logs_on
sshd_on "$dir" 2025 'ListenAddress 127.0.0.1'
on() { ssh -i "$dir/key" -p 2025 -o StrictHostKeyChecking=no -o UserKnownHostsFile="$dir/known" -o LogLevel=ERROR ops@127.0.0.1 "$@"; }
poll 10 on true
on 'sudo ss -tulpn | head; sudo lsof -nP -i | head -5; sudo netstat -s 2>/dev/null | head -3' || true
on 'sudo timeout 3 tcpdump -ni lo -c 5 -w /tmp/lo.pcap port 2025; sudo tcpdump -nr /tmp/lo.pcap | head -3; sudo rm -f /tmp/lo.pcap' || true
on 'sudo timeout 10 perf record -q -a -g -o /root/all.data -- sleep 0.5; sudo perf report -i /root/all.data --stdio 2>/dev/null | head -5' || true
on 'sudo perf top --stdio 2>&1 </dev/null | head -1' || true
on "sudo timeout 20 bpftrace -e 'BEGIN { printf(\"began\n\"); exit(); }'" || true
on "sudo timeout 20 bpftrace -e 'tracepoint:syscalls:sys_enter_openat { @[comm] = count(); } interval:s:1 { exit(); }' | head -3" || true
# shellcheck disable=SC2016
on 'sleep 30 & p=$!; sudo timeout 1 strace -f -p $p -o /dev/null; sudo gdb -batch -nx -p $p -ex bt 2>/dev/null | tail -1; sudo cat /proc/$p/maps | head -1; sudo ls -l /proc/$p/fd; kill $p' || true
on 'sudo sysctl -a 2>/dev/null | wc -l; sudo sysctl -w net.core.somaxconn=2048; sudo sysctl -w net.ipv4.tcp_fin_timeout=20; echo net.ipv4.tcp_fin_timeout=20 | sudo tee /etc/sysctl.d/70-net.conf'
on 'sudo sh -c "echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse"; cat /proc/sys/net/ipv4/tcp_tw_reuse'
on 'sudo ip route; sudo ip neigh; sudo iptables -L -n 2>/dev/null | head -2; sudo nft list ruleset; sudo ethtool lo 2>/dev/null | head -2' || true
on 'sudo -i whoami; sudo su - dana -c id; sudo -u www-data id; sudo journalctl -n 2 --no-pager; sudo dmesg | tail -2; last -3; w; who -a' || true
on 'history | tail -3; find / -xdev -perm -4000 -type f 2>/dev/null | head -3; sudo find /etc -newer /etc/hostname -type f | head -3; sudo grep -ri password /etc/default | head -2; sudo du -xsh /var/log' || true
on 'sudo truncate -s 0 /var/log/dpkg.log.1 2>/dev/null; sudo rm -f /var/log/apt/*.gz; sudo journalctl --vacuum-size=100M' || true
on 'sudo crontab -l; sudo ls /var/spool/cron/crontabs; sudo getent shadow root | cut -c1-5; sudo openssl x509 -in /etc/ssl/certs/ca-certificates.crt -noout -subject' || true
sshd_off "$dir"
logs_off

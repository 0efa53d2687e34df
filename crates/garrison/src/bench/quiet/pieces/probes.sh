#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# A monitoring agent that is asked over the network and runs commands for the answer.
mkdir -p /run/zabbix /var/log/zabbix /etc/zabbix && chown zabbix: /run/zabbix /var/log/zabbix
cat >/root/zabbix_agentd.conf <<'CONF'
PidFile=/run/zabbix/quiet.pid
LogFile=/var/log/zabbix/quiet.log
Server=127.0.0.1
ListenIP=127.0.0.1
ListenPort=10050
Hostname=quiet
User=zabbix
UserParameter=shop.orders,ls /etc | wc -l
UserParameter=shop.processes[*],ps -e | grep -c "$1"
UserParameter=shop.root,sudo -n -u root id -u
UserParameter=shop.uptime,uptime | awk '{ print $$1 }'
CONF
chmod 644 /root/zabbix_agentd.conf && chmod 711 /root
echo 'zabbix ALL=(root) NOPASSWD: /usr/bin/id' >/root/zabbix.sudo && install -m 440 /root/zabbix.sudo /etc/sudoers.d/zabbix
agent=$(command -v zabbix_agentd)
"$agent" -c /root/zabbix_agentd.conf
poll 10 test -s /run/zabbix/quiet.pid
cat >/root/ask.py <<'P'
import socket, struct, sys
for key in ["agent.ping", "system.cpu.load", "shop.orders", "shop.processes[sh]", "shop.root", "shop.uptime", "vfs.fs.size[/]", "net.tcp.listen[10050]"]:
    it = socket.create_connection(("127.0.0.1", 10050), 3)
    it.sendall(b"ZBXD\1" + struct.pack("<Q", len(key)) + key.encode())
    print(key, it.recv(4096)[13:])
P
for _ in 1 2 3; do python3 /root/ask.py; done
daemon=$(cat /run/zabbix/quiet.pid)
kill "$daemon"
gone 10 "$daemon"

#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# A name server for the house, asked a lot, with names as they are today.
cat >/root/dnsmasq.conf <<'CONF'
port=53
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
user=nobody
address=/example.org/192.0.2.1
local=/internal/
pid-file=/run/dnsmasq-quiet.pid
log-queries
log-facility=/var/log/dnsmasq.log
CONF
dnsmasq -C /root/dnsmasq.conf
poll 10 test -s /run/dnsmasq-quiet.pid
cat >/root/ask.py <<'P'
import hashlib, random, socket, struct
def ask(name, kind=1):
    question = b"".join(bytes([len(it)]) + it.encode() for it in name.split(".")) + b"\0" + struct.pack(">HH", kind, 1)
    it = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    it.settimeout(2)
    it.sendto(struct.pack(">HHHHHH", random.randrange(65536), 0x100, 1, 0, 0, 0) + question, ("127.0.0.1", 53))
    return len(it.recv(4096))
for number in range(120):
    ask(f"www{number}.example.org")
# Content networks, mail signatures, addresses the other way round.
for number in range(40):
    ask("d" + hashlib.md5(str(number).encode()).hexdigest()[:14] + ".cdn.example.org")
    ask(f"{number}.2.0.192.in-addr.arpa", 12)
for name in ["selector1._domainkey.example.org", "_dmarc.example.org", "_acme-challenge.example.org", "_sip._tcp.example.org"]:
    ask(name, 16)
P
python3 /root/ask.py
if command -v dig >/dev/null; then for kind in A AAAA MX TXT SOA; do dig +short @127.0.0.1 "example.org" "$kind"; done; fi
kill -HUP "$(cat /run/dnsmasq-quiet.pid)"
daemon=$(cat /run/dnsmasq-quiet.pid)
kill "$daemon"
gone 10 "$daemon"

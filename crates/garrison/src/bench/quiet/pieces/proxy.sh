#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# A load balancer before two servers, checked, drained, reloaded.
mkdir -p /srv/proxy/{a,b} /run/haproxy
for name in a b; do echo "from $name" >"/srv/proxy/$name/index.html"; done
python3 -m http.server 8101 --bind 127.0.0.1 --directory /srv/proxy/a >/dev/null 2>&1 & one=$!
python3 -m http.server 8102 --bind 127.0.0.1 --directory /srv/proxy/b >/dev/null 2>&1 & two=$!
openssl req -x509 -newkey rsa:2048 -nodes -keyout /root/proxy.key -out /root/proxy.crt -days 1 -subj /CN=localhost 2>/dev/null
cat /root/proxy.crt /root/proxy.key >/root/proxy.pem
cat >/root/haproxy.cfg <<'CONF'
global
    stats socket /run/haproxy/quiet.sock mode 600 level admin
    user haproxy
    group haproxy
    chroot /var/lib/haproxy
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:80
    bind 127.0.0.1:443 ssl crt /root/proxy.pem
    default_backend pages
backend pages
    balance roundrobin
    server a 127.0.0.1:8101 check inter 200
    server b 127.0.0.1:8102 check inter 200
CONF
mkdir -p /var/lib/haproxy
haproxy -c -q -f /root/haproxy.cfg
haproxy -W -D -p /run/haproxy/quiet.pid -f /root/haproxy.cfg
poll 10 curl -fsS -o /dev/null http://127.0.0.1/
seq 1 60 | xargs -P 4 -I{} curl -fsS -o /dev/null 'http://127.0.0.1/?{}'
curl -fsSk -o /dev/null https://127.0.0.1/
if command -v socat >/dev/null; then
    echo 'show stat' | socat stdio /run/haproxy/quiet.sock | head -3
    echo 'set server pages/a state drain' | socat stdio /run/haproxy/quiet.sock
fi
kill -USR2 "$(head -1 /run/haproxy/quiet.pid)"
poll 10 curl -fsS -o /dev/null http://127.0.0.1/
poll 10 test -s /run/haproxy/quiet.pid
daemon=$(head -1 /run/haproxy/quiet.pid)
kill "$daemon"
gone 10 "$daemon"
kill "$one" "$two"

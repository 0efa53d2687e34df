#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# A shop on the day of its sale: thousands ask the web server, its store and its name server, and some give up.
mkdir -p /srv/crowd/img /run/crowd
echo '<h1>Sale</h1>' >/srv/crowd/index.html
head -c 40000 /dev/urandom >/srv/crowd/img/shoe.jpg
cat >/root/crowd.conf <<'CONF'
user www-data;
worker_processes 2;
pid /run/crowd/nginx.pid;
error_log /var/log/nginx/crowd-error.log;
events { worker_connections 1024; }
http {
    access_log /var/log/nginx/crowd.log;
    server { listen 80; root /srv/crowd; }
}
CONF
mapfile -t customers < <(seq -f '198.51.100.%g' 10 49)
mapfile -t doors < <(seq -f '192.0.2.%g' 60 99)
place "${doors[@]}" 192.0.2.100 "${customers[@]}"
nginx -c /root/crowd.conf
poll 10 test -s /run/crowd/nginx.pid
poll 10 curl -fsS -o /dev/null http://192.0.2.60/
# The customers are elsewhere: nobody here may open hundreds to one address, which is a flood from here.
{
    # shellcheck disable=SC2016
    for it in "${customers[@]}"; do echo "$it 192.0.2.$((60 + ${it##*.} % 40))"; done |
        xargs -P 4 -L 1 sh -c 'ab -q -n 100 -c 10 -B "$0" "http://$1/"'
    for it in "${doors[@]}"; do echo "$it"; done | xargs -P 4 -I{} ab -q -n 100 -c 10 http://{}/img/shoe.jpg
    ab -q -k -n 8000 -c 20 http://192.0.2.100/
    for it in "${doors[@]}"; do echo "$it"; done | xargs -P 4 -I{} ab -q -n 10 -c 5 http://{}/favicon.ico
} >/root/crowd.txt
# Customers who go before they have an answer, and one who holds on.
cat >/root/crowd.py <<'P'
import socket, struct
for number in range(600):
    it = socket.create_connection((f"192.0.2.{60 + number % 40}", 80), source_address=(f"198.51.100.{10 + number % 40}", 0))
    it.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if number % 2:
        it.sendall(b"GET /img/shoe.jpg HTTP/1.1\r\nHost: shop\r\n\r\n")
    it.close()
P
python3 /root/crowd.py
redis-server --port 6390 --bind 127.0.0.1 --save '' --dir /run/crowd --logfile /var/log/redis/crowd.log & store=$!
poll 10 redis-cli -p 6390 ping
redis-benchmark -q -p 6390 -n 10000 -c 50 -t get,set,lpush >/dev/null
printf 'port=53\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nuser=nobody\naddress=/example.org/192.0.2.60\npid-file=/run/crowd/dnsmasq.pid\n' >/root/crowd-names.conf
dnsmasq -C /root/crowd-names.conf
poll 10 test -s /run/crowd/dnsmasq.pid
cat >/root/crowd-names.py <<'P'
import random, socket, struct
for number in range(3000):
    name = random.choice(["www", "shop", "static", "api", "login"]) + str(number % 50) + ".example.org"
    question = b"".join(bytes([len(it)]) + it.encode() for it in name.split(".")) + b"\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:
        it.settimeout(2)
        it.sendto(struct.pack(">HHHHHH", number % 65536, 0x100, 1, 0, 0, 0) + question, ("127.0.0.1", 53))
        it.recv(4096)
P
python3 /root/crowd-names.py
web=$(cat /run/crowd/nginx.pid)
names=$(cat /run/crowd/dnsmasq.pid)
kill "$names" "$store" "$web"
gone 10 "$names"
wait "$store" || true
gone 10 "$web"

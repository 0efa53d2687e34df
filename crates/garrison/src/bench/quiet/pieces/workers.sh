#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# Application servers whose workers come and go, under a supervisor.
person shop
cd /home/shop
cat >app.py <<'P'
import os, subprocess
def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/report":
        return [subprocess.run(["sort", "-n"], input=b"2\n1\n", capture_output=True).stdout]
    if environ["PATH_INFO"] == "/version":
        return [subprocess.check_output("git --version", shell=True)]
    return [str(os.getpid()).encode()]
P
cat >app.js <<'J'
const cluster = require("cluster"), http = require("http"), { execFile, exec } = require("child_process");
if (cluster.isPrimary) {
  cluster.fork(); cluster.fork();
  cluster.on("exit", () => cluster.fork());
  process.on("SIGHUP", () => { for (const it of Object.values(cluster.workers)) it.kill(); });
} else {
  http.createServer((ask, answer) => {
    if (ask.url === "/pdf") execFile("gzip", ["--version"], (_, out) => answer.end(out));
    else if (ask.url === "/git") exec("git --version", (_, out) => answer.end(out));
    else answer.end(String(process.pid));
  }).listen(3000, "127.0.0.1");
}
J
chown shop: app.py app.js
mkdir -p /var/log/shop-app /run/shop-app && chown shop: /var/log/shop-app
cat >/root/supervisord.conf <<'CONF'
[supervisord]
logfile=/var/log/shop-app/supervisord.log
pidfile=/run/shop-app/supervisord.pid
[unix_http_server]
file=/run/shop-app/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix:///run/shop-app/supervisor.sock
[program:api]
command=gunicorn --workers 2 --max-requests 20 --bind 127.0.0.1:8000 app:app
directory=/home/shop
user=shop
stopasgroup=true
[program:page]
command=node /home/shop/app.js
directory=/home/shop
user=shop
stopasgroup=true
[program:queue]
command=/bin/bash -c 'while sleep 0.5; do date >>/var/log/shop-app/queue; done'
user=shop
stopasgroup=true
killasgroup=true
CONF
supervisord -c /root/supervisord.conf
poll 20 curl -fsS -o /dev/null http://127.0.0.1:8000/
poll 20 curl -fsS -o /dev/null http://127.0.0.1:3000/
ctl() { supervisorctl -c /root/supervisord.conf "$@"; }
for _ in 1 2 3; do
    seq 1 30 | xargs -P 4 -I{} curl -fsS -o /dev/null 'http://127.0.0.1:8000/?{}'
    curl -fsS http://127.0.0.1:8000/report
    curl -fsS http://127.0.0.1:8000/version
    curl -fsS -o /dev/null http://127.0.0.1:3000/pdf
    curl -fsS http://127.0.0.1:3000/git
    ctl signal HUP api
    ctl signal HUP page
    poll 10 curl -fsS -o /dev/null http://127.0.0.1:3000/
done
ctl status
ctl restart api
poll 20 curl -fsS -o /dev/null http://127.0.0.1:8000/
ctl stop all
daemon=$(cat /run/shop-app/supervisord.pid)
ctl shutdown
gone 20 "$daemon"
